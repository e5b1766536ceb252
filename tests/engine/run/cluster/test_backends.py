from __future__ import annotations

import logging

import pytest

from napari_restore.engine.run.cluster.backends import check_backend, shared_backend
from napari_restore.errors import ClusterError


def test_workers_that_lack_openvino_are_found_before_a_run() -> None:
    check_backend("openvino", ["1.2.3", "1.2.3"])
    for other in ("eager", "compiled", None):
        check_backend(other, [None, "1.2.3"])  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match=r"1\.2\.3 on 1 of 2 workers, no OpenVINO on 1.*backend='eager'"):
        check_backend("openvino", [None, "1.2.3"])
    with pytest.raises(ClusterError, match=r"1\.2\.3 on 1 of 2 workers, 1\.2\.4 on 1 of 2 workers"):
        check_backend("openvino", ["1.2.4", "1.2.3"])


def test_a_run_that_leaves_it_open_does_without(caplog: pytest.LogCaptureFixture) -> None:
    assert shared_backend(["1.2.3"] * 2) == "openvino" and not caplog.text
    with caplog.at_level(logging.WARNING):
        assert shared_backend([None, None]) == "eager"
    assert "no OpenVINO on 2 of 2 workers" in caplog.text

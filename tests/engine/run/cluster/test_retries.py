"""Nothing waits for a worker that stands still."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from clusters import SETTINGS
from stored_files import files

from napari_restore import api
from napari_restore.engine.run.cluster import retries as window
from napari_restore.engine.run.cluster import run as running

# Workers that are killed leave a socket or a pipe to the garbage collector now and then.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
@pytest.mark.parametrize("stopped", ["one", "all, and the run is closed"])
def test_workers_that_stand_still(
    source: Path,
    checkpoints: dict[str, Path],
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mortal_client: Any,
    stopped: str,
) -> None:
    monkeypatch.setattr(window, "STRAGGLER", 2.0)
    monkeypatch.setattr(window, "ANSWER", 2.0)
    monkeypatch.setattr(running, "ANSWER", 2.0)
    output = tmp_path / "out.zarr"
    events = api.iter_restore(source, output=output, model=checkpoints["denoiser"], scheduler=mortal_client, **SETTINGS)
    next(event for event in events if event.done >= 2)
    workers = [worker.pid for worker in mortal_client.cluster.workers.values()]
    still = workers[:1] if stopped == "one" else workers
    for pid in still:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        if stopped == "one":
            assert [event.done for event in events if event.stage == "restoring"][-1] == 12
        else:
            next(events)
            events.close()
        assert time.monotonic() - began < 60
    finally:
        for pid in still:
            os.kill(pid, signal.SIGCONT)
    if stopped == "one":
        assert files(output) == whole
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []

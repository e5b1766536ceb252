from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from clusters import SETTINGS, SHAPE, two_workers
from stored_files import files

from napari_restore import api
from napari_restore.engine.run.cluster.workers import Cluster


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of 12 blocks, wide enough for a second level."""
    path = tmp_path_factory.mktemp("source") / "stack.tif"
    pixels = np.random.default_rng(0).poisson(100, SHAPE).astype(np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


@pytest.fixture(scope="module")
def whole(source: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of a run in this process."""
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    api.denoise(source, path, model=checkpoints["denoiser"], **SETTINGS)
    return files(path)


@pytest.fixture(autouse=True)
def one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many threads of torch as in this process: with others, sums are taken in another order."""
    monkeypatch.setattr(Cluster, "threads", 1)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers that nothing happens to."""
    with two_workers() as client:
        yield client


@pytest.fixture
def mortal_client() -> Iterator[Any]:
    """Two workers that may be killed."""
    with two_workers() as client:
        yield client

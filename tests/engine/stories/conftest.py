from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from interrupted_runs import PLANES, SETTINGS, begin
from stored_files import files

from napari_restore import api


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of 18 blocks, wide enough for a second level."""
    path = tmp_path_factory.mktemp("source") / "stack.tif"
    pixels = np.random.default_rng(0).poisson(100, (PLANES, 32, 260)).astype(np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


@pytest.fixture(scope="module")
def whole(source: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of a run that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    api.denoise(source, path, model=checkpoints["denoiser"], **SETTINGS)
    return files(path)


@pytest.fixture(scope="module")
def begun(source: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with a block or two, for tests that must not change it."""
    path = tmp_path_factory.mktemp("begun") / "out.zarr"
    begin(source, path, checkpoints["denoiser"], blocks=1)
    return path


@pytest.fixture
def other_source(source: Path, tmp_path: Path) -> Path:
    """As the source, but for one pixel in a hundred."""
    pixels = tifffile.imread(source)
    pixels.reshape(-1)[::100] += 1
    tifffile.imwrite(tmp_path / "other.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path / "other.tif"

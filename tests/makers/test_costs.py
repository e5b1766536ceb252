"""What opening a file and reading a first crop cost: half a second and 50 MB at most, whatever the file holds.

The seconds are those of the processor, so that other programs on the machine do not count.
"""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from czi_files import Block, write_czi
from lif_files import Stored, write_lif
from nd2_files import Z, loop, write_nd2
from ndtiff_files import write_ndtiff

from napari_restore.api import open_image

PLANES = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A stack of 80 MB in each format."""
    folder = tmp_path_factory.mktemp("stacks")
    pixels = np.random.default_rng(0).integers(0, 4096, (PLANES, 1024, 1024), np.uint16)
    heights = {"dZLow": 0.0, "dZHigh": PLANES - 1.0, "dZStep": 1.0, "dZHome": 0.0}
    return {
        "czi": write_czi(folder / "a.czi", [Block(plane, at={"Z": z}) for z, plane in enumerate(pixels)]),
        "lif": write_lif(folder / "a.lif", [Stored("a", pixels, "ZYX", {})]),
        "nd2": write_nd2(folder / "a.nd2", list(pixels[..., None]), [loop(Z, PLANES, **heights)]),
        "ndtiff": write_ndtiff(folder / "set", [({"z": z}, plane, {}) for z, plane in enumerate(pixels)]),
    }


@pytest.mark.parametrize("kind", ["czi", "lif", "nd2", "ndtiff"])
def test_the_first_crop_costs_little(files: dict[str, Path], kind: str) -> None:
    if kind in ("lif", "nd2"):
        pytest.importorskip({"lif": "liffile", "nd2": "nd2"}[kind])
    region = (slice(20, 21), slice(300, 556), slice(300, 556))
    for measure in ("seconds", "bytes"):  # measuring memory takes time
        if measure == "bytes":
            tracemalloc.start()
        began = time.process_time()
        assert open_image(files[kind]).read(region).shape == (1, 256, 256)
        if measure == "seconds":
            assert time.process_time() - began < 0.5
        else:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 50e6


_REAL = {"czi": "*.czi", "lif": "*.lif", "nd2": "*.nd2", "imaris": "*.ims", "tiff": "*.tif*", "ndtiff": "*",
         "ome-tiff/companion": "*", "ome-tiff/master": "*"}  # fmt: skip


@pytest.mark.parametrize("folder", _REAL)
def test_the_first_crop_of_real_files_costs_little(makers: Path, folder: str) -> None:
    if folder in ("lif", "nd2"):
        pytest.importorskip({"lif": "liffile", "nd2": "nd2"}[folder])
    paths = sorted((makers / folder).glob(_REAL[folder]))
    assert paths

    def crop(path: Path) -> None:
        image = open_image(path)
        image.read(tuple(slice(0, 256 if axis in "YXS" else 1) for axis in image.canonical))

    crop(paths[0])  # imports the package that reads the format
    for path in paths:
        began = time.process_time()
        crop(path)
        assert time.process_time() - began < 0.5, path
        tracemalloc.start()
        crop(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50e6, path

"""Readers of bioio: what is said without them, and, where they are installed, files that they open."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.opening import open_image
from napari_restore.images.readers import bioio

# The readers warn of their own.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("ending", ["czi", "nd2", "lif"])
def test_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bioio", None)
    (tmp_path / f"cells.{ending}").write_bytes(b"-")
    with pytest.raises(SourceError, match=rf"pip install 'napari-restore\[{ending}\]'.*bioio-{ending}"):
        open_image(tmp_path / f"cells.{ending}")


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4096, (3, 2, 40, 50), np.uint16)


def test_a_file_that_a_reader_opens(tmp_path: Path, pixels: np.ndarray) -> None:
    pytest.importorskip("bioio")
    pytest.importorskip("bioio_ome_tiff")
    path = tmp_path / "cells.ome.tif"
    metadata: dict[str, Any] = {"axes": "ZCYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.3, "PhysicalSizeZ": 1.5}
    tifffile.imwrite(path, pixels, metadata={**metadata, "Channel": {"Name": ["DAPI", "GFP"]}})
    image = bioio.open(str(path))
    assert image.axes == "CZYX" and image.shape == (2, 3, 40, 50) and image.dtype == np.uint16
    assert image.series_count == 1
    assert image.pixel_size == pytest.approx({"Z": 1.5, "Y": 0.3, "X": 0.2})
    assert [channel.name for channel in image.channels] == ["DAPI", "GFP"]
    part = (slice(1, 2), slice(0, 3), slice(5, 30), slice(10, 50))
    again = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(again.read(part), pixels.transpose(1, 0, 2, 3)[part])
    with pytest.raises(SourceError, match="series 3"):
        bioio.open(str(path), series=3)
    with pytest.raises(AxesError, match="CZYX"):
        bioio.open(str(path), axes="TZYX")
    path.unlink()
    with pytest.raises((ChunkError, SourceError)):
        pickle.loads(pickle.dumps(image)).read(part)


def test_a_czi_written_by_the_makers_library(tmp_path: Path, pixels: np.ndarray) -> None:
    pytest.importorskip("bioio_czi")
    czi = pytest.importorskip("pylibCZIrw.czi")
    path = tmp_path / "cells.czi"
    with czi.create_czi(str(path)) as file:
        for z, c in np.ndindex(3, 2):
            file.write(np.ascontiguousarray(pixels[z, c][..., None]), plane={"Z": z, "C": c, "T": 0})
        file.write_metadata("cells", channel_names={0: "DAPI", 1: "GFP"}, scale_x=2e-7, scale_y=3e-7, scale_z=1.5e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = open_image(path)
    assert image.axes == "CZYX" and image.shape == (2, 3, 40, 50)
    assert image.pixel_size == pytest.approx({"Z": 1.5, "Y": 0.3, "X": 0.2})
    part = (slice(0, 2), slice(1, 3), slice(5, 30), slice(10, 50))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(image)).read(part), pixels.transpose(1, 0, 2, 3)[part])

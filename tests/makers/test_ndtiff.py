"""NDTiff data sets of Micro-Manager and Pycro-Manager, beside ndstorage."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_restore.api import open_image

_LETTERS = {"time": "T", "channel": "C", "z": "Z"}

# ndstorage leaves its files open.
pytestmark = pytest.mark.filterwarnings("ignore")


def data_set(path: Path) -> Any:
    return pytest.importorskip("ndstorage").Dataset(str(path))


@pytest.mark.parametrize("name", ["12_bit_pycromanager_mda", "labeled_positions_1", "ndtiff3.2_11bit_1"])
def test_every_pixel_beside_ndstorage(makers: Path, name: str) -> None:
    path = makers / "ndtiff" / name
    other = data_set(path)
    places = {axis: list(found) for axis, found in other.axes.items()}
    for series in range(open_image(path).series_count):
        image = pickle.loads(pickle.dumps(open_image(path, series=series)))
        whole = image.read(tuple(slice(0, length) for length in image.shape))
        for at in itertools.product(*places.values()):
            where = dict(zip(places, at, strict=True))
            if where.get("position", image.series_names and image.series_names[series]) != (
                image.series_names and image.series_names[series]
            ):
                continue
            index = tuple(
                places[axis].index(where[axis])
                for letter in image.axes
                for axis in where
                if _LETTERS.get(axis) == letter
            )
            np.testing.assert_array_equal(whole[index], other.read_image(**where))


def test_positions_have_their_names_and_places(makers: Path) -> None:
    path = makers / "ndtiff" / "labeled_positions_1"
    found = [open_image(path, series=name) for name in ("Pos0", "Pos1", "Pos2")]
    assert found[0].series_names == ("Pos0", "Pos1", "Pos2")
    # The positions are at 0, 1; 0, 2; and 0, 0 µm (X, Y).
    assert [image.origin["Y"] - found[2].origin["Y"] for image in found] == [1, 2, 0]
    assert found[0].pixel_size == {"Y": 1.0, "X": 1.0}


def test_tiles_and_levels_of_a_sparse_set(makers: Path) -> None:
    path = makers / "ndtiff" / "ndtiffv3.0_stitched_test"
    other = data_set(path)
    tiles = [other.read_image(row=n, column=n, channel=0) for n in range(2)]
    image = open_image(path)
    whole = image.read((slice(0, 60), slice(0, 60)))
    np.testing.assert_array_equal(whole[:28, :28], tiles[0][:28, :28])
    np.testing.assert_array_equal(whole[32:, 32:], tiles[1][4:, 4:])
    # The tiles overlap by four pixels, and each reaches to the middle.
    np.testing.assert_array_equal(whole[2:30, 2:30], tiles[0][2:30, 2:30])
    np.testing.assert_array_equal(whole[30:58, 30:58], tiles[1][2:30, 2:30])
    assert (whole[:28, 32:] == 0).all() and "not acquired" in image.notes[0]
    for level, length in ((1, 28), (2, 14), (3, 7), (4, 4)):
        coarse = open_image(path, level=level)
        expected = other.read_image(row=0, column=0, channel=0, resolution_level=level)
        np.testing.assert_array_equal(coarse.read((slice(0, 60), slice(0, 60))), expected[:length, :length])
        # The first pixel of each level has its corner where the second row and column of the first tile begin.
        assert coarse.origin["X"] - coarse.pixel_size["X"] / 2 == pytest.approx(image.origin["X"] - 0.5 + 2)

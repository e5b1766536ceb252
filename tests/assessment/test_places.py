from __future__ import annotations

import numpy as np

from napari_restore.assessment.blocks import Assessed, BlockPlace
from napari_restore.assessment.places import PlaceList


def block(significance: np.ndarray, rows: int = 0) -> Assessed:
    count, high, wide = significance.shape
    place = BlockPlace({"T": 0, "C": 0, "Z": 4}, count, slice(rows, rows + 16 * high), slice(0, 16 * wide))
    kind = np.zeros(significance.shape, np.uint8)
    return Assessed(place, np.zeros((count, 16 * high, 16 * wide), np.float32), significance, kind)


def test_windows_that_touch_are_one_place_over_planes_and_blocks() -> None:
    found = PlaceList("Z", 1e-4)
    first, second = np.zeros((2, 2, 4), np.float32), np.zeros((2, 2, 4), np.float32)
    first[0, 1, 0], first[1, 1, 1] = 5, 7  # diagonal, and one plane further
    second[1, 0, 2] = -9  # below the second, in the next block
    first[0, 0, 3], first[1, 0, 0] = 6, np.nan
    found.take(block(first))
    found.take(block(second, rows=32))
    places = found.places(64, 60)
    assert (found.windows, found.flagged, found.removed, found.added) == (31, 4, 3, 1)
    assert [place.log10_p for place in places] == [-9, -6]
    assert places[0].z == (4, 6) and places[0].y == (16, 48) and places[0].x == (0, 48) and places[0].added
    assert places[1].x == (48, 60) and places[1].where("ZYX") == "Z 4, Y 0–16, X 48–60"

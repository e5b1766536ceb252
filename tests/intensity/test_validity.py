from __future__ import annotations

import numpy as np

from napari_restore.intensity.validity import Validity


def test_single_pixels_are_missing_and_areas_are_beyond() -> None:
    plane = np.full((40, 40), 5.0)
    plane[3, 3], plane[20:26, 10:16], plane[30, 30], plane[35:40] = 90, 80, np.nan, -7
    valid = Validity(0, 10, (-7.0,))
    missing, beyond = valid.missing(plane), valid.beyond(plane)
    assert missing is not None and beyond is not None
    assert missing.sum() == 2 + 5 * 40 and missing[3, 3] and missing[30, 30] and missing[35:].all()
    assert beyond.sum() == 36 and beyond[20:26, 10:16].all()
    assert Validity().missing(np.zeros((9, 9))) is None and Validity().beyond(plane) is None


def test_what_is_missing_depends_on_two_pixels_around() -> None:
    rng = np.random.default_rng(3)
    plane = rng.choice([0.0, 1.0, 50.0], (64, 64), p=[0.5, 0.3, 0.2])
    valid = Validity(-1, 10, (0.0,))
    whole, part = valid.missing(plane), valid.missing(plane[10:50, 5:60])
    assert whole is not None and part is not None
    np.testing.assert_array_equal(whole[12:48, 7:58], part[2:-2, 2:-2])


def test_exact_values_are_missing_wherever_they_are() -> None:
    plane = np.random.default_rng(0).normal(100, 5, (40, 40))
    plane[::7, ::3], plane[20:30, 20:30] = -1, -1
    for dtype in (np.float32, np.int16):
        missing = Validity(0, 200, exact=(-1.0,)).missing(plane.astype(dtype))
        assert missing is not None
        np.testing.assert_array_equal(missing, plane.astype(dtype) == -1)
    assert Validity(0, 200, exact=(-1.0,)).beyond(plane) is None and Validity(0, 200).beyond(plane) is not None

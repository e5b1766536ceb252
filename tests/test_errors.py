from __future__ import annotations

import pickle

import numpy as np
import pytest

from napari_restore import api
from napari_restore.errors import AxesError, ChunkError, RestoreError, fault_of, in_window
from napari_restore.ways_out import FILL, REPLACE, name_axes


def test_each_face_has_its_own_way_out() -> None:
    with pytest.raises(AxesError) as raised:
        api.open_image(np.zeros((3, 40, 50)))
    error = raised.value
    assert "pass axes=" in str(error) == error.told("call") and "--axes" not in str(error)
    assert "give --axes" in error.told("command") and "axes=" not in error.told("command")
    assert "in Axes" in error.told("window") == in_window(error)
    assert {error.told(face).partition(";")[0] for face in ("call", "command", "window")} == {error.fault}  # type: ignore[arg-type]


def test_a_way_out_survives_the_way_from_a_worker() -> None:
    sent = pickle.loads(pickle.dumps(AxesError("no axes", way := name_axes(3))))
    assert type(sent) is AxesError and sent.told("window") == f"no axes; {way.window}"
    assert str(sent) == f"no axes; {way.call}"


@pytest.mark.parametrize("dimensions", [3, 4, 5, 6])
def test_the_axes_of_the_advice_fit(dimensions: int) -> None:
    array = np.zeros((1,) * (dimensions - 2) + (8, 9))[..., :3]
    with pytest.raises(AxesError) as raised:
        api.open_image(array)
    axes = str(raised.value).rpartition("such as ")[2].strip("'.")
    assert api.open_image(array, axes=axes).axes == axes


def test_no_axes_fit_an_array_of_seven_dimensions() -> None:
    with pytest.raises(AxesError, match="two to six dimensions; store such a part of it"):
        api.open_image(np.zeros((1,) * 7))


def test_an_error_without_one_is_the_same_everywhere() -> None:
    assert (
        RestoreError("tile 100; use 96.").told("window")
        == "tile 100; use 96."
        == str(RestoreError("tile 100; use 96."))
    )
    assert in_window(OSError("gone")) == "gone"
    assert REPLACE.after("or ").window == "or tick Replace to replace it."


def test_an_error_around_another_has_its_advice_for_each_face() -> None:
    error = ChunkError.around("a.tif: chunk 3", ChunkError("not stored", FILL))
    assert type(error) is ChunkError and error.fault == fault_of(error) == "a.tif: chunk 3: not stored"
    assert error.told("window") == "a.tif: chunk 3: not stored; with fill in On error, a run continues without it."
    assert str(ChunkError.around("a.tif", OSError("gone"))) == "a.tif: gone"

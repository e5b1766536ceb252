"""The setting `neighbours` in words, and the planes that are used if their number is left out."""

from __future__ import annotations

import pytest

from napari_restore.engine.planning.settings.neighbours import Neighbours, parse_neighbours


@pytest.mark.parametrize(
    "given",
    [
        Neighbours(axis="T"),
        Neighbours(axis="TZ", planes=1),
        Neighbours(axis="Z", strength=0.8),
        Neighbours(axis="T", planes=2, strength=0.8),
        Neighbours(axis="none"),
    ],
)
def test_words_are_read_back(given: Neighbours) -> None:
    assert Neighbours(**(parse_neighbours(str(given)) or {})) == given


def test_more_planes_in_time_than_in_depth_unless_the_number_is_given() -> None:
    assert (Neighbours().along("T"), Neighbours().along("Z")) == (3, 2)
    assert {Neighbours(planes=4).along(axis) for axis in "TZ"} == {4}


def test_a_number_that_was_left_out_agrees_with_a_stored_one() -> None:
    stored = Neighbours(axis="T", planes=2)
    assert Neighbours(axis="T").agrees_with(stored) and not Neighbours(axis="T", planes=3).agrees_with(stored)

"""Nothing but a `RestoreError` leaves the public functions, unless it is the caller's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_restore import api
from napari_restore.api import boundary
from napari_restore.api.boundary import bounded
from napari_restore.errors import ModelError, OutOfMemory, RestoreError, SourceError, UnexpectedError
from napari_restore.images import opening
from napari_restore.models import zoo

IMAGE = np.zeros((64, 64), np.uint16)


def failing(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def library(error: Exception) -> Any:
    """A function of a library, by the file that its code says to be in."""
    names: dict[str, Any] = {"error": error}
    exec(compile("def fail(*_, **__):\n    raise error", json.__file__, "exec"), names)
    return names["fail"]


class Foreign(Exception):
    """What no function of ours knows of."""


def test_a_complaint_of_a_library_is_told_with_the_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(opening, "open_image", library(json.JSONDecodeError("no", "", 0)))
    with pytest.raises(
        SourceError, match=r"opening .*cells.tif has failed \(JSONDecodeError: .*check that what it reads"
    ):
        api.open_image(tmp_path / "cells.tif")
    monkeypatch.setattr(zoo, "find_card", library(ValueError("buffer size")))
    with pytest.raises(ModelError, match=r"reading model weights.pth has failed \(ValueError: buffer size"):
        api.model_card("weights.pth")


def _mistaken(value: dict[str, int]) -> int:
    return value["nothing"]


@pytest.mark.parametrize("error", [KeyError("a"), AttributeError("b"), AssertionError(), ZeroDivisionError("c")])
def test_a_fault_of_ours_says_so_and_where_to_report_it(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(boundary, "_OURS", Path(__file__).parent)
    call = bounded("doing")(failing(error))
    with pytest.raises(
        UnexpectedError, match=r"because of a fault in napari-restore .*test_boundary.py, line \d+\); please report"
    ):
        call("it")


def test_memory_that_runs_out_is_told_as_that() -> None:
    with pytest.raises(OutOfMemory, match="doing it: there is not enough memory"):
        bounded("doing")(failing(MemoryError("of 9 GB")))("it")


def test_what_the_callers_own_code_raises_passes_as_it_is(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(Foreign):
        api.denoise(IMAGE, axes="YX", model=checkpoints["local"], progress=failing(Foreign()))
    with pytest.raises(TypeError, match="missing a required argument: 'source'"):
        api.denoise()  # type: ignore[call-arg]


def test_a_generator_is_bounded_while_it_goes_on_and_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    @bounded("counting")
    def count(to: int) -> Iterator[int]:
        try:
            yield from range(to)
            library(OSError("no disk"))()
        finally:
            closed.append(to)

    steps = count(2)
    assert [next(steps), next(steps)] == [0, 1]
    monkeypatch.setattr(boundary, "_OURS", Path(__file__).parent)
    with pytest.raises(RestoreError, match="counting has failed"):
        next(steps)
    steps = count(9)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert closed == [2, 9]


@pytest.mark.parametrize("place", ["~nouser/x.zarr", "loop.zarr", "a\0b.zarr", "n" * 300 + ".zarr"])
def test_places_that_are_none(place: str, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    (tmp_path / "loop.zarr").symlink_to(tmp_path / "loop.zarr")
    output = place if place.startswith("~") else tmp_path / place
    with pytest.raises(RestoreError):
        api.denoise(IMAGE, output, axes="YX", model=checkpoints["local"])
    with pytest.raises(RestoreError):
        api.denoise(output, tmp_path / "out.zarr", model=checkpoints["local"])
    with pytest.raises(RestoreError):
        api.verify(output)
    with pytest.raises(RestoreError):
        api.run_report(output)
    with pytest.raises(RestoreError):
        api.plan_batch(output, tmp_path / "out")
    with pytest.raises(RestoreError):
        api.model_card(f"{output}.pth")

"""The controller without any window: a view that writes down what it is told, and work that is done at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs.controller import Controller
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.layers.image_layers import whole


class NotebookView:
    """A view for a notebook, so to speak: lines instead of widgets."""

    def __init__(self, layer: Image, choices: Choices) -> None:
        self.layer, self.choices = layer, choices
        self.told: list[str] = []
        self.states: list[str] = []
        self.results: list[Any] = []
        self.progress: list[Any] = []
        self.preflights: list[Any] = []
        self.looked: list[str] = []
        self.obstacles: list[str] = []
        self.runs: list[str | None] = []
        self.obstacle = ""
        self.removed = 0

    def job(self) -> Job:
        if self.obstacle:
            raise RestoreError(self.obstacle)
        return Job.of(self.layer, "YX", whole(self.layer), self.choices)

    def jobs(self) -> list[Job]:
        return [self.job()]

    def region_on_screen(self, layer: Any = None) -> tuple[slice, ...]:
        return whole(self.layer)

    def preview_note(self) -> str:
        return ""

    def show_state(self, state: str) -> None:
        self.states.append(state)

    def show_message(self, text: str, *, warning: bool = False, details: str = "") -> None:
        self.told.append(f"⚠ {text}" if warning else text)

    def show_preflight(self, found: Any) -> None:
        self.preflights.append(found)

    def show_looking(self, text: str) -> None:
        self.looked.append(text)

    def show_done(self, text: str, output: str | None) -> None:
        self.told.append(text)

    def show_obstacle(self, text: str) -> None:
        self.obstacles.append(text)

    def show_waiting(self) -> None:
        self.preflights.append("waiting")

    def remove_result(self) -> None:
        self.removed += 1

    def show_run(self, name: str | None) -> None:
        self.runs.append(name)

    def show_progress(self, event: Any, plan: Any) -> None:
        self.progress.append(event)

    def show_result(self, result: Any, drawn: Callable[[], None] | None = None) -> None:
        self.results.append(result)
        if drawn is not None:
            drawn()

    def result_changed(self) -> None: ...

    def result_complete(self, *, all_restored: bool = True) -> None: ...


class Later:
    """Work that is done when a test says so, to its end or for some items."""

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[Generator[Any, None, None], threading.Event, Any, Any]] = {}

    def start(self, name: str, start: Any, event: Any, ended: Any, /) -> None:
        stop = threading.Event()
        self.waiting[name] = (start(stop), stop, event, ended)

    def stop(self, name: str, /) -> bool:
        if name in self.waiting:
            self.waiting[name][1].set()
        return name in self.waiting

    def drop(self, name: str, /) -> bool:
        found = self.stop(name)
        self.waiting.pop(name, None)
        return found

    def __contains__(self, name: object, /) -> bool:
        return name in self.waiting

    def do(self, name: str, items: int | None = None) -> None:
        generator, stop, event, ended = self.waiting[name]
        error: BaseException | None = None
        try:
            for number, item in enumerate(generator, 1):
                event(item)
                if stop.is_set():
                    break
                if number == items:
                    return
        except Exception as caught:
            error = caught
        generator.close()
        del self.waiting[name]
        ended(error)


@pytest.fixture
def view(checkpoints: dict[str, Path]) -> NotebookView:
    pixels = np.random.default_rng(0).poisson(100, (90, 120)).astype(np.uint16)
    return NotebookView(Image(pixels, name="cells"), Choices.of(str(checkpoints["denoiser"]), tile=64, halo=8))


def test_a_run_from_preflight_to_result(view: NotebookView) -> None:
    works = Later()
    controller = Controller(view, works)
    controller.choices_changed()
    controller.start_preflight()
    works.do("preflight")
    assert controller.preflight is view.preflights[-1] and controller.preflight is not None
    controller.start_run()
    assert controller.state == "running" and view.runs == ["cells"]
    works.do("run")
    assert view.states == ["running", "idle"] and view.told == ["Done."] and view.runs == ["cells", None]
    (result,) = view.results
    (layer,) = result.layers
    assert result.source is view.layer and layer[0].shape == (90, 120) and np.asarray(layer[0]).any()
    assert layer[1]["name"] == "cells ▸ denoiser" and view.progress


def test_a_change_of_the_choices_drops_what_was_found(view: NotebookView) -> None:
    works = Later()
    controller = Controller(view, works)
    controller.start_preflight()
    controller.choices_changed()
    assert "preflight" not in works and controller.preflight is None and view.preflights == [None]


def test_what_makes_no_job_is_said_and_nothing_starts(view: NotebookView) -> None:
    works = Later()
    controller = Controller(view, works)
    view.obstacle = "axes ZX do not name Y."
    controller.start_preflight()
    controller.start_preview()
    controller.start_run()
    assert view.obstacles == ["axes ZX do not name Y."] and view.told == ["⚠ axes ZX do not name Y."] * 2
    assert not works.waiting and controller.state == "idle" and not view.states


def test_cancelling(view: NotebookView, tmp_path: Path) -> None:
    view.choices = Choices.of(view.choices.model, tile=64, halo=8, output=str(tmp_path / "o.zarr"))
    works = Later()
    controller = Controller(view, works)
    controller.cancel()
    assert controller.state == "idle"  # there is nothing to cancel
    controller.start_run()
    works.do("run", items=1)
    controller.cancel()
    assert controller.state == "cancelling"
    controller.start_preview()
    assert "preview" not in works
    works.do("run")
    assert view.states == ["running", "cancelling", "idle"]
    assert view.told == ["Cancelled before the first block; nothing is stored."] and view.removed == 1
    assert "preflight" in works  # how much is stored is found out anew


def test_choices_that_change_during_a_run_are_checked_after_it(view: NotebookView) -> None:
    works = Later()
    controller = Controller(view, works)
    controller.live = True
    controller.start_run()
    works.do("run", items=1)
    controller.choices_changed()
    controller.start_preflight()
    assert "preflight" not in works and view.preflights == [None, "waiting"]
    controller.start_run()  # by the key: there is one already
    assert view.states == ["running"]
    works.do("run")
    works.do("preflight")
    assert controller.preflight is not None and "preview" in works
    works.do("preview")


def test_a_run_is_not_followed_by_a_live_preview(view: NotebookView) -> None:
    works = Later()
    controller = Controller(view, works)
    controller.live = True
    controller.start_run()
    works.do("run")
    works.do("preflight")
    assert controller.preflight is not None and "preview" not in works


def test_stop_is_for_what_is_in_progress(view: NotebookView) -> None:
    works = Later()
    controller = Controller(view, works)
    controller.stop()
    assert not view.told and not view.states
    controller.start_preview()
    controller.stop()
    assert "preview" not in works and controller.state == "idle" and view.told[-1] == "Preview stopped."
    controller.start_run()
    controller.stop()
    assert controller.state == "cancelling"
    works.do("run")


@pytest.mark.parametrize("stored", [False, True])
def test_a_result_that_is_removed_stops_a_run_that_leads_nowhere(
    view: NotebookView, tmp_path: Path, stored: bool
) -> None:
    output = str(tmp_path / "o.zarr") if stored else None
    view.choices = Choices.of(view.choices.model, tile=64, halo=8, output=output)
    works = Later()
    controller = Controller(view, works)
    controller.start_run()
    works.do("run", items=2)
    controller.result_removed()
    assert controller.state == ("running" if stored else "cancelling")
    works.do("run")
    told = f"Done. The layer of the result was removed; the result is in {output}."
    assert view.told == [told if stored else "Stopped: the layer of the result was removed."]


def test_a_preview_is_given_up_for_another_and_for_a_run(view: NotebookView) -> None:
    works = Later()
    controller = Controller(view, works)
    controller.start_preview()
    first = works.waiting["preview"][1]
    controller.start_preview()
    assert first.is_set() and controller.state == "previewing"
    second = works.waiting["preview"][1]
    controller.start_run()
    assert second.is_set() and "preview" not in works and controller.state == "running"


def test_a_preview_follows_the_preflight_where_it_is_live(view: NotebookView) -> None:
    works = Later()
    controller = Controller(view, works)
    controller.live = True
    controller.start_preflight()
    works.do("preflight")
    works.do("preview")
    assert [layer[1]["name"] for result in view.results for layer in result.layers][-1] == "preview · cells ▸ denoiser"
    assert view.told[-1] == "Preview: Y 90 · X 120"


def test_errors_that_are_not_ours_come_with_a_traceback(view: NotebookView, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("in the middle")

    monkeypatch.setattr("napari_restore.engine.compute.block.restore_region", fail)
    works = Later()
    controller = Controller(view, works)
    controller.start_run()
    works.do("run")
    assert view.told == ["⚠ ZeroDivisionError: in the middle"] and controller.state == "idle"


def test_models_stay_while_another_dock_needs_one(view: NotebookView, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[bool] = []
    monkeypatch.setattr("napari_restore.engine.compute.predictor.release_predictors", lambda: released.append(True))
    works, others = Later(), Later()
    controller, other = Controller(view, works), Controller(view, others)
    other.start_run()
    controller.start_run()
    works.do("run")
    assert not released
    others.do("run")
    assert released == [True]

"""Work under names."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest
from qtpy.QtWidgets import QWidget

from napari_restore.widgets.threads.turns import Steps, Turns
from napari_restore.widgets.threads.works import Works


@pytest.fixture
def turns(qtbot: Any) -> Turns:
    widget = QWidget()
    qtbot.addWidget(widget)
    return Turns(widget)


def until_stopped(stop: threading.Event) -> Generator[str, None, None]:
    yield "begun"
    assert stop.wait(60)
    yield "stopped"


def one(stop: threading.Event) -> Generator[str, None, None]:
    yield "one"


def test_stopped_work_is_current_until_it_has_ended(qtbot: Any, turns: Turns) -> None:
    works, seen = Works(turns), []
    works.start("run", until_stopped, seen.append, lambda error: seen.append((error, "run" in works)))
    qtbot.waitUntil(lambda: seen == ["begun"])
    assert works.stop("run") and "run" in works and list(works) == ["run"]
    qtbot.waitUntil(lambda: not works)
    assert seen == ["begun", "stopped", (None, False)]
    assert not works.stop("run") and not works.drop("run")


def test_nothing_of_dropped_or_replaced_work_arrives(qtbot: Any, turns: Turns) -> None:
    works, old, new = Works(turns), [], []
    works.start("preview", until_stopped, old.append, old.append)
    first = works["preview"]
    qtbot.waitUntil(lambda: old == ["begun"])
    works.start("preview", one, new.append, new.append)
    assert first.stopping.is_set() and works["preview"] is not first
    qtbot.waitUntil(lambda: new == ["one", None] and first.finished.is_set())
    works.start("figures", until_stopped, new.append, new.append)
    third = works["figures"]
    assert works.drop("figures") and not works
    qtbot.waitUntil(third.finished.is_set)
    qtbot.wait(50)
    assert old == ["begun"] and new == ["one", None]


def test_work_has_ended_when_its_steps_are_taken(qtbot: Any, turns: Turns) -> None:
    works, seen = Works(turns), []

    def steps() -> Steps:
        for number in range(3):
            seen.append(number)
            yield

    works.start("run", one, lambda item: turns.take(steps()), lambda error: seen.append("ended"))
    qtbot.waitUntil(lambda: not works)
    assert seen == [0, 1, 2, "ended"]


def test_all_are_dropped_at_the_end(qtbot: Any, turns: Turns) -> None:
    works, seen = Works(turns), []
    for name in ("run", "preview"):
        works.start(name, until_stopped, lambda item: None, seen.append)
    every = [works[name] for name in works]
    works.end()
    assert not works
    qtbot.waitUntil(lambda: all(work.finished.is_set() for work in every))
    qtbot.wait(50)
    assert not seen

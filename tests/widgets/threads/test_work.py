"""Generators on threads of their own."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from qtpy.QtCore import QCoreApplication, QThread

from napari_restore.widgets.threads import work as module
from napari_restore.widgets.threads.work import Work


@pytest.fixture(autouse=True)
def nothing_stays(qapp: Any) -> Iterator[None]:
    """No work and no thread is left by any test."""
    yield
    assert not module._unfinished
    assert "napari-restore" not in [thread.name for thread in threading.enumerate()]


class Record:
    """What arrives, in its order, and on which thread."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.errors: list[BaseException | None] = []

    def event(self, item: Any) -> None:
        self._check()
        self.items.append(item)

    def ended(self, error: BaseException | None) -> None:
        self._check()
        self.errors.append(error)

    @staticmethod
    def _check() -> None:
        assert QThread.currentThread() is QCoreApplication.instance().thread()  # type: ignore[union-attr]


def test_items_arrive_in_order_on_the_main_thread_and_are_made_on_another(qtbot: Any) -> None:
    threads: list[threading.Thread] = []

    def start(stop: threading.Event) -> Generator[int, None, None]:
        threads.append(threading.current_thread())
        yield from range(200)

    record = Record()
    work = Work(start, record.event, record.ended)
    assert not record.items  # not within the call
    qtbot.waitUntil(lambda: bool(record.errors))
    assert record.items == list(range(200)) and record.errors == [None]
    assert work.finished.is_set() and threads[0] is not threading.main_thread()


def test_an_item_does_not_arrive_while_another_is_taken(qtbot: Any) -> None:
    nested: list[int] = []
    depth = 0

    def event(item: int) -> None:
        nonlocal depth
        depth += 1
        nested.append(depth)
        if item == 0:
            qtbot.wait(50)  # events come in, as they do where napari draws its activity dock
        depth -= 1

    record = Record()
    Work(lambda stop: iter_of(3), event, record.ended)
    qtbot.waitUntil(lambda: bool(record.errors))
    assert len(nested) == 3


def iter_of(count: int) -> Generator[int, None, None]:
    yield from range(count)


def test_a_stop_closes_the_generator(qtbot: Any) -> None:
    closed = threading.Event()

    def start(stop: threading.Event) -> Generator[int, None, None]:
        try:
            while True:
                yield 1
                stop.wait(0.01)
        finally:
            closed.set()

    record = Record()
    work = Work(start, record.event, record.ended)
    qtbot.waitUntil(lambda: len(record.items) > 1)
    work.stop()
    qtbot.waitUntil(lambda: bool(record.errors))
    assert closed.is_set() and record.errors == [None]


@pytest.mark.parametrize("early", [False, True])
def test_an_error_ends_it_and_is_given(qtbot: Any, early: bool) -> None:
    def start(stop: threading.Event) -> Generator[int, None, None]:
        if early:
            raise ZeroDivisionError("at once")
        return fails()

    def fails() -> Generator[int, None, None]:
        yield 1
        raise ZeroDivisionError("later")

    record = Record()
    Work(start, record.event, record.ended)
    qtbot.waitUntil(lambda: bool(record.errors))
    assert record.items == ([] if early else [1]) and isinstance(record.errors[0], ZeroDivisionError)


def test_work_that_nobody_holds_ends_and_is_deleted(qtbot: Any) -> None:
    """A dock widget drops work that was replaced; its end still arrives, and nothing of it is left."""
    record = Record()
    found = weakref.ref(Work(lambda stop: iter_of(1000), record.event, record.ended))
    gc.collect()
    qtbot.waitUntil(lambda: bool(record.errors))
    gc.collect()
    assert len(record.items) == 1000 and found() is None


def test_many_at_once_leave_no_thread(qtbot: Any) -> None:
    records = [Record() for _ in range(40)]
    works = [Work(lambda stop: iter_of(20), record.event, record.ended) for record in records]
    for number, work in enumerate(works):
        if number % 2:
            work.stop()
    qtbot.waitUntil(lambda: all(record.errors for record in records))
    assert all(record.errors == [None] for record in records)
    assert all(record.items == list(range(20)) for record in records[::2])

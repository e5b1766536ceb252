"""Print results to standard output, and progress and errors to standard error."""

from __future__ import annotations

__all__ = ["adapting", "downloads", "errors", "follow", "follow_batch", "out"]

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from napari_restore import api

for _name in ("stdout", "stderr"):
    if getattr(sys, _name) is None:  # closed by the caller
        setattr(sys, _name, open(os.devnull, "w"))  # noqa: SIM115 (open until the process ends)
    _reconfigure = getattr(getattr(sys, _name), "reconfigure", None)
    if _reconfigure is not None:  # characters that the terminal cannot show must not end the run
        _reconfigure(errors="backslashreplace")


class _Errors(Console):
    """Standard error. If it is closed or full, the run continues and nothing is printed."""

    def print(self, *objects: Any, **options: Any) -> None:
        with contextlib.suppress(OSError):
            super().print(*objects, **options)


# Paths may hold brackets and colons, so nothing is read as markup. In a file or a pipe, tables are not wrapped.
_plain: dict[str, Any] = {"highlight": False, "soft_wrap": True, "markup": False, "emoji": False}
out = Console(width=None if sys.stdout.isatty() else 250, **_plain)
errors = _Errors(stderr=True, **_plain)


def _bar(quiet: bool) -> Progress:
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=errors, disable=quiet or not errors.is_terminal)


def _show(bar: Progress, task: TaskID, event: Any) -> None:
    """Show an event of a run."""
    done, total = event.steps
    rate = f"{done}/{total} tiles, {event.tiles_per_second:.2f}/s" if event.counts_tiles else f"{done}/{total} blocks"
    bar.update(task, description=event.stage, completed=done, total=total, rate=rate)


def follow(events: Iterable[Any], quiet: bool) -> None:
    """Show the progress of a run until it ends."""
    with _bar(quiet) as bar:
        task = bar.add_task("restoring", total=None, rate="")
        for event in events:
            _show(bar, task, event)


def follow_batch(events: Iterable[api.BatchProgress], quiet: bool) -> list[api.BatchItem]:
    """Show the progress of a batch of images until it ends, and return the outcome of each image."""
    ended: list[api.BatchItem] = []
    with _bar(quiet) as bar:
        images = bar.add_task("images", total=None, rate="")
        task = bar.add_task("restoring", total=None, rate="")
        for event in events:
            bar.update(images, completed=len(ended), total=event.total, rate=event.item.name)
            if event.event is None:
                ended.append(event.item)
                bar.reset(task, total=None)
            else:
                _show(bar, task, event.event)
    return ended


@contextmanager
def adapting(quiet: bool) -> Iterator[Callable[[Any], None]]:
    """Show the progress of an adaptation. Yield a function that takes its events."""
    said: list[str] = []
    with _bar(quiet) as bar:
        task = bar.add_task("adapting", total=None, rate="")

        def show(event: Any) -> None:
            if not said and not quiet:
                said.append(f"{event.method}: {event.why}")
                errors.print(said[0])
            losses = f"loss {event.latest.loss:.4f}, unadapted {event.latest.parent_loss:.4f}"
            bar.update(task, completed=event.done, total=event.total or None, rate=losses)

        yield show


@contextmanager
def downloads(model: str, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show the download of a model, if there is one. Yield a function that takes the bytes done and the total bytes."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=errors, disable=quiet or not errors.is_terminal, transient=True) as bar:
        task = bar.add_task(f"fetching {model}", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)

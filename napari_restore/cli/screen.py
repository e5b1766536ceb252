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

from napari_restore import progress_bars
from napari_restore.progress_bars import Bar
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
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


@contextmanager
def _shown(lines: Callable[[Bar], Callable[..., Any]], quiet: bool) -> Iterator[Callable[..., Any]]:
    """Show a bar until the context ends. Yield the function that takes the events."""
    bar = Bar(errors, hidden=quiet)
    try:
        yield lines(bar)
    finally:
        bar.close()


def follow(events: Iterable[Any], quiet: bool) -> None:
    """Show the progress of a run until it ends."""
    with _shown(progress_bars.restoring, quiet) as show:
        for event in events:
            show(event)


def follow_batch(events: Iterable[api.BatchProgress], quiet: bool) -> list[api.BatchItem]:
    """Show the progress of a batch of images until it ends, and return the outcome of each image."""
    ended: list[api.BatchItem] = []
    with _shown(progress_bars.restoring_batch, quiet) as show:
        for event in events:
            show(event)
            if event.event is None:
                ended.append(event.item)
    return ended


@contextmanager
def adapting(quiet: bool) -> Iterator[Callable[[Any], None]]:
    """Show the progress of an adaptation. Yield a function that takes its events."""
    said: list[str] = []
    with _shown(progress_bars.adapting, quiet) as follow:

        def show(event: Any) -> None:
            if not said and not quiet:
                said.append(f"{event.method}: {event.why}; up to {human_bytes(event.memory_bytes)} of memory")
                errors.print(said[0])
            follow(event)

        yield show


@contextmanager
def downloads(model: str, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show the download of a model, if there is one. Yield a function that takes the bytes done and the total bytes."""
    with _shown(progress_bars.downloading(model), quiet) as show:
        yield show

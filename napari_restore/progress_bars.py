"""Show the progress of long calls by rich, in a terminal and in a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

__all__ = ["Bar", "adapting", "counting", "downloading", "follow_run", "following", "restoring", "restoring_batch"]

_DELAY = 1.0
"""Seconds of a call after which its bar appears, so that many short calls leave no bars."""
_INTERVAL = 0.25
"""Seconds between two updates of a bar in a notebook; in a terminal, rich updates it by itself."""

Callback = TypeVar("Callback", bound=Callable[..., Any])


class Bar:
    """A progress bar with one or more lines, which is only shown in a terminal or a notebook.

    Parameters
    ----------
    console : rich.console.Console or None
        Where the bar is shown. If None, standard error.
    delay : float
        Seconds after which the bar appears.
    hidden : bool
        Show nothing in any case.
    """

    def __init__(self, console: Console | None = None, *, delay: float = 0.0, hidden: bool = False) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self._rich: RichProgress = Progress(*columns, console=console)
        self._notebook = console.is_jupyter and not hidden
        self._terminal = console.is_terminal and not hidden
        self._due = time.monotonic() + delay
        self._started = False
        self._display: Any = None

    @property
    def shown(self) -> bool:
        """Whether there is a terminal or a notebook that shows the bar."""
        return self._terminal or self._notebook

    def line(self, description: str) -> Callable[..., None]:
        """Add a line, and return the function that updates it.

        Parameters
        ----------
        description : str
            First words of the line.

        Returns
        -------
        callable
            Called with the keywords of `rich.progress.Progress.update`, and the words `rate` to show beside the bar.
        """
        task = self._rich.add_task(description, total=None, rate="")

        def update(**fields: Any) -> None:
            self._rich.update(task, **fields)
            self._refresh()

        return update

    def _refresh(self) -> None:
        """Show the lines, if it is time to."""
        from rich.errors import LiveError

        now = time.monotonic()
        if not self.shown or now < self._due:
            return
        if self._notebook:
            self._due = now + _INTERVAL
            self._show_in_notebook()
        elif not self._started:
            self._started = True
            try:
                self._rich.start()
            except LiveError:  # the caller shows a bar already, and this rich shows one at a time
                self._terminal = False

    def _show_in_notebook(self) -> None:
        """Show the lines below the cell, or replace those that are there; this needs no widgets."""
        from IPython.display import display

        table = self._rich.make_tasks_table(self._rich.tasks)
        if self._display is None:
            self._display = display(table, display_id=True)
        else:
            self._display.update(table)

    def close(self) -> None:
        """Show the last state, and end."""
        if self._display is not None:
            self._show_in_notebook()
        if self._started:
            self._rich.stop()


def restoring(bar: Bar) -> Callable[[Any], None]:
    """Add the lines for the events of a run, `napari_restore.engine.store.progress.Progress`.

    Parameters
    ----------
    bar : Bar
        The bar.

    Returns
    -------
    callable
        Called with each event.
    """
    line = bar.line("restoring")

    def show(event: Any) -> None:
        done, total = event.steps
        tiles = f"{done}/{total} tiles, {event.tiles_per_second:.2f}/s"
        rate = tiles if event.counts_tiles else f"{done}/{total} blocks"
        line(description=event.stage, completed=done, total=total, rate=rate)

    return show


def restoring_batch(bar: Bar) -> Callable[[Any], None]:
    """Add the lines for the events of a batch, `napari_restore.api.BatchProgress`.

    Parameters
    ----------
    bar : Bar
        The bar.

    Returns
    -------
    callable
        Called with each event.
    """
    images, run = bar.line("images"), restoring(bar)
    ended = 0

    def show(event: Any) -> None:
        nonlocal ended
        ended += event.event is None
        images(completed=ended, total=event.total, rate=event.item.name)
        if event.event is not None:
            run(event.event)

    return show


def adapting(bar: Bar) -> Callable[[Any], None]:
    """Add the lines for the events of an adaptation, `napari_restore.adapting.outcome.AdaptProgress`.

    Parameters
    ----------
    bar : Bar
        The bar.

    Returns
    -------
    callable
        Called with each event.
    """
    line = bar.line("adapting")

    def show(event: Any) -> None:
        losses = f"loss {event.latest.loss:.4f}, unadapted {event.latest.parent_loss:.4f}"
        line(completed=event.done, total=event.total or None, rate=losses)

    return show


def counting(what: str) -> Callable[[Bar], Callable[[int, int], None]]:
    """Make a function that adds the line for blocks that are done and in total.

    Parameters
    ----------
    what : str
        First words of the line.

    Returns
    -------
    callable
        Takes a bar, and returns a function that is called with both numbers.
    """

    def made(bar: Bar) -> Callable[[int, int], None]:
        line = bar.line(what)
        return lambda done, total: line(completed=done, total=total, rate=f"{done}/{total} blocks")

    return made


def downloading(what: str) -> Callable[[Bar], Callable[[int, int | None], None]]:
    """Make a function that adds the line for bytes of a download.

    Parameters
    ----------
    what : str
        Name of what is downloaded.

    Returns
    -------
    callable
        Takes a bar, and returns a function that is called with the bytes that have arrived and in total (None if
        unknown).
    """

    def made(bar: Bar) -> Callable[[int, int | None], None]:
        from napari_restore.wording import human_bytes

        line = bar.line(f"fetching {what}")
        return lambda done, total: line(completed=done, total=total, rate=human_bytes(done))

    return made


def _ignored(*event: Any) -> None:
    """Take an event that nobody wants to see."""


@contextmanager
def following(progress: bool | Callback | None, lines: Callable[[Bar], Callback]) -> Iterator[Callback]:
    """Follow a call, as its argument `progress` says, until the context ends.

    Parameters
    ----------
    progress : bool, callable or None
        Function of the caller, which is used as it is; True for a bar; False or None for nothing.
    lines : callable
        Adds the lines to a bar and returns the function that updates them, such as `restoring`.

    Yields
    ------
    callable
        To be called with each event.
    """
    if callable(progress):
        yield progress
        return
    if not progress:
        yield cast(Callback, _ignored)
        return
    bar = Bar(delay=_DELAY)
    try:
        yield lines(bar)
    finally:
        bar.close()


def follow_run(events: Iterable[Any], progress: bool | Callable[[Any], None] | None) -> None:
    """Follow a run to its end, as the argument `progress` of the call says.

    Parameters
    ----------
    events : iterable of Progress
        Events of the run, which advance it.
    progress : bool, callable or None
        See `following`.
    """
    with following(progress, restoring) as follow:
        for event in events:
            follow(event)

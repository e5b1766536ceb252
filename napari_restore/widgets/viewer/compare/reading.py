"""Read the pixels of a comparison that are on screen, on a worker thread."""

from __future__ import annotations

__all__ = ["PairReader"]

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from napari_restore.errors import RestoreError, in_window
from napari_restore.widgets.jobs.compare.comparison import Comparison
from napari_restore.widgets.jobs.compare.pairs import Pair, find_pairs
from napari_restore.widgets.jobs.controller import Works
from napari_restore.widgets.jobs.viewport import Viewport

if TYPE_CHECKING:
    from napari.viewer import Viewer


class PairReader:
    """Reads the pixels of a comparison that are on screen.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    works : Works
        Runs reading and computing on threads.
    tell : callable
        Shows a line of text; takes a keyword `warning`.
    """

    def __init__(self, viewer: Viewer, works: Works, tell: Callable[..., None]) -> None:
        self._viewer, self._works, self._tell = viewer, works, tell

    def read(
        self,
        comparison: Comparison | None,
        name: str,
        show: Callable[[Any], None],
        compute: Callable[..., Any] | None = None,
        failed: Callable[[str], None] | None = None,
        *,
        first: Any = None,
        **how: Any,
    ) -> None:
        """Read the region on screen and compute something of it on a worker thread, and show the outcome.

        Parameters
        ----------
        comparison : Comparison or None
            What is read.
        name : str
            Name of the work; earlier work of this name is dropped.
        show : callable
            Called on the main thread with the pairs and their planes, and with what `compute` has returned.
        compute : callable, optional
            Called on the thread with the pairs and their planes.
        failed : callable, optional
            Called on the main thread with the message of an error; by default, it is told.
        first : napari.layers.Image, optional
            Result layer that comes first.
        **how
            See `Pair.read`.
        """

        def ended(error: BaseException | None) -> None:
            if error is not None:
                (failed or self._warn)(in_window(error))

        try:
            pairs = sorted(self._pairs(comparison), key=lambda pair: pair.result != first)
        except RestoreError as error:
            ended(error)
            return

        def start(stop: threading.Event) -> Generator[Any, None, None]:
            planes = [pair.read(**how) for pair in pairs]
            yield (pairs, planes) if compute is None else (pairs, planes, compute(pairs, planes))

        self._works.start(_work(name), start, show, ended)

    def _warn(self, text: str) -> None:
        self._tell(text, warning=True)

    def drop(self, name: str) -> None:
        """Drop the work of this name, if there is any."""
        self._works.drop(_work(name))

    def _pairs(self, comparison: Comparison | None) -> list[Pair]:
        """Pair source and result on screen.

        Raises
        ------
        RestoreError
            If they cannot be compared now.
        """
        if comparison is None or not any(layer in self._viewer.layers for layer in comparison.results):
            raise RestoreError("there is no result to compare yet; make a preview or a run first.")
        if not comparison.complete:
            raise RestoreError("the result is not complete; its pixels can be compared when the run has ended.")
        if self._viewer.dims.ndisplay != 2:
            raise RestoreError("planes are compared in the 2D view; leave the 3D view first.")
        return find_pairs(comparison.source, comparison.axes, comparison.results, Viewport.of(self._viewer))


def _work(name: str) -> str:
    """Return the name of the work among all work of the dock widget."""
    return f"compare: {name}"

"""Before, wipe, grid, difference and figures of one source and its result, on the layers of a viewer."""

from __future__ import annotations

__all__ = ["HOLD_KEY", "CompareTools"]

import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs.compare.comparison import Comparison, History
from napari_restore.widgets.jobs.compare.figures import measure_pair
from napari_restore.widgets.jobs.compare.pairs import Pair, Planes, find_pairs
from napari_restore.widgets.jobs.controller import Works
from napari_restore.widgets.jobs.layers import is_comparison, is_made_here
from napari_restore.widgets.threads.turns import Turns
from napari_restore.widgets.viewer.difference import show_differences
from napari_restore.widgets.viewer.live_view import LiveView
from napari_restore.widgets.viewer.visibility import Visibility
from napari_restore.widgets.viewer.wipe import Wipe

if TYPE_CHECKING:
    from napari.viewer import Viewer

HOLD_KEY = "H"
"""Held while the canvas has the focus, it shows the source."""
_SHOWN = 1536
"""Most source pixels along Y and X that a wipe or a difference shows; of more, every second or third is taken."""
_MEASURED = 2048
"""Most source pixels along Y and X that figures are measured on: the middle of what is on screen."""


class CompareTools(QObject):
    """Everything that compares one source with its result: `comparison`, and nothing else.

    Pixels are read on a worker thread; layers belong to the main thread.

    Parameters
    ----------
    viewer
        Where the layers are.
    works
        Reads and computes.
    turns
        On which result layers are replaced: what is missing from the list in between is not gone.
    tell
        Shows a line of text.

    Attributes
    ----------
    comparison
        What is compared; None as long as there is no result.
    history
        What can be chosen instead.
    """

    listed = Signal(list, int)
    """Names of what can be compared, and which of them is; -1 where there is nothing."""
    wiped = Signal(float)
    """The part of the width that shows the source, where it was changed on the canvas."""
    grid_shown = Signal(bool)
    references_listed = Signal(list)
    """Names of the layers that may be a reference."""
    measured = Signal(str, list)
    """What was measured, and figures, each with its meaning; none where those before hold no more."""

    def __init__(self, viewer: Viewer, works: Works, turns: Turns, tell: Callable[..., None]) -> None:
        super().__init__(turns)
        self.viewer, self._works, self._turns, self._tell = viewer, works, turns, tell
        self.comparison: Comparison | None = None
        self.history = History()
        self.wipe = Wipe(viewer, self.wiped.emit)
        self.view = LiveView(viewer, self)
        self.view.rested.connect(self._wipe_again)
        self._before, self._grid = Visibility(viewer), Visibility(viewer)
        self._following = False
        self.follow()

    def follow(self) -> None:
        """Follow the list of layers; doing so twice is harmless."""
        if not self._following:
            self._following = True
            self.viewer.layers.events.inserted.connect(self.list_references)
            self.viewer.layers.events.removed.connect(self._removed)

    def end(self) -> None:
        """Take everything back: wipe, grid, key, and all that follows the viewer."""
        self._take_back()
        self._forget_what_is_gone()
        bound = self.viewer.bind_key(HOLD_KEY, None)
        if bound is not None and bound != self._hold:
            self.viewer.bind_key(HOLD_KEY, bound)  # it is another dock widget's by now
        if self._following:
            self._following = False
            self.viewer.layers.events.inserted.disconnect(self.list_references)
            self.viewer.layers.events.removed.disconnect(self._removed)

    # ------------------------------------------------------------------------------- what is compared

    def compare(self, comparison: Comparison) -> None:
        """Compare a new result with its source from now on."""
        in_grid = bool(self._grid) and (self.comparison is None or self.comparison.results != comparison.results)
        if in_grid:
            self.show_grid(False)
        self.history.add(comparison)
        self._choose(comparison)
        self._show_alone(comparison)
        if in_grid:
            self.show_grid(True)
        # The dock widget that showed a result last has the key.
        self.viewer.bind_key(HOLD_KEY, self._hold, overwrite=True)
        self._wipe_again()

    def choose(self, index: int) -> None:
        """Compare one of the history, and show it."""
        if 0 <= index < len(self.history) and self.history[index] is not self.comparison:
            self._take_back()
            self._choose(self.history[index])
            self._show_alone(self.history[index])

    def choose_source(self, source: Any) -> None:
        """Compare the latest result of a layer, if there is one; what is seen stays as it is."""
        found = self.history.of(source)
        if found is not None and self.comparison is not None and self.comparison.source != source:
            self._take_back()
            self._choose(found)

    def _choose(self, comparison: Comparison | None) -> None:
        self.comparison = comparison
        self.measured.emit("", [])
        self._list()

    def _list(self) -> None:
        index = -1 if self.comparison is None else self.history.index(self.comparison)
        self.listed.emit(self.history.names(), index)

    def _show_alone(self, comparison: Comparison) -> None:
        """Hide the source, since most blending would add the result to it, and its other results."""
        if not self._grid:
            for layer in (comparison.source, *self.history.results_of(comparison.source)):
                layer.visible = layer in comparison.results

    def _removed(self, event: object = None) -> None:
        self.list_references()
        self._turns.call(self._forget_what_is_gone)

    def _forget_what_is_gone(self) -> None:
        """Compare something else where a layer was removed, and show the source again where no result of it is left."""
        if self.wipe.is_torn():
            self._end_wipe()
        before = {each.source for each in self.history}
        self.history.prune(self.viewer.layers)
        for source in before:
            if source in self.viewer.layers and self.history.of(source) is None:
                source.visible = True
        if self.comparison is not None and self.comparison not in self.history:
            source = self.comparison.source
            self._take_back()
            chosen = self.history.of(source) or next(iter(self.history), None)
            self._choose(chosen)
            if chosen is not None and chosen.source == source:
                self._show_alone(chosen)
        else:
            self._list()

    def _take_back(self) -> None:
        """End what shows the comparison before."""
        self._end_wipe()
        self.show_grid(False)
        self._before.restore()

    def list_references(self, event: object = None) -> None:
        """Tell which layers may be a reference: images that were not made here."""
        self.references_listed.emit([layer.name for layer in self._references()])

    def _references(self) -> list[Any]:
        images = [layer for layer in self.viewer.layers if layer.__class__.__name__ == "Image"]
        return [layer for layer in images if not is_made_here(layer)]

    def _there(self) -> list[Any]:
        results = () if self.comparison is None else self.comparison.results
        return [layer for layer in results if layer in self.viewer.layers]

    # ----------------------------------------------------------------------------------------- before

    def _hold(self, viewer: Viewer) -> Generator[None, None, None]:
        """Show the source while the key is held."""
        self.show_before(True)
        yield
        self.show_before(False)

    def show_before(self, wanted: bool) -> None:
        """Show the source instead of all its results, or everything as it was."""
        if not wanted:
            self._before.restore()
            if self.wipe.line is None:
                self.wipe.end()
            else:
                self.wipe.peek(None)
        elif self.comparison is not None:
            source = self.comparison.source
            others = [layer for layer in self.viewer.layers if is_comparison(layer)]
            results = [*self.history.results_of(source), *others]
            if self.wipe.line is not None:
                self.wipe.peek(1.0)
            elif "C" in self.comparison.axes:
                # The source shows one channel at a time; beside the results' composite belongs one of its own.
                self._before.change({layer: layer in self.comparison.results for layer in results})
                self._show_composite()
            else:
                self._before.change({source: True, **dict.fromkeys(results, False)})

    def _show_composite(self) -> None:
        def show(found: tuple[list[Pair], list[Planes]]) -> None:
            if self._before:
                self.wipe.begin(found[0], found[1], 1.0, line=False)

        self._read("before", show, largest=_SHOWN, sparse=True)

    # ------------------------------------------------------------------------------------------- wipe

    def wipe_to(self, fraction: float) -> None:
        """Show the source in this part of the width of what is on screen, and the result in the rest; 0 ends it."""
        if fraction == 0:
            self._end_wipe()
        elif self.wipe.active:
            self.wipe.move(fraction)
        else:
            self.wipe.fraction = fraction
            self.view.follow(True)
            self._wipe_again()

    def _end_wipe(self) -> None:
        if self.view.following:
            self.view.follow(False)
            self.wiped.emit(0.0)
        self.wipe.end()

    def _wipe_again(self) -> None:
        """Wipe what is on screen now."""
        if not self.view.following:
            return

        def show(found: tuple[list[Pair], list[Planes]]) -> None:
            if self.view.following:
                self.wipe.begin(found[0], found[1], self.wipe.fraction)

        self._read("wipe", show, largest=_SHOWN, sparse=True)

    # ------------------------------------------------------------------------------------------- grid

    def show_grid(self, wanted: bool) -> None:
        """Show source and results side by side, or everything as it was before."""
        grid = self.viewer.canvas.grid
        if wanted and self.comparison is not None and not self._grid:
            compared = [self.comparison.source, *self._there()]
            self._grid.change({layer: layer in compared for layer in self.viewer.layers})
            grid.stride, grid.shape, grid.enabled = 1, (-1, len(compared) if len(compared) < 4 else -1), True
            self.grid_shown.emit(True)
        elif not wanted and self._grid:
            grid.enabled = False
            self._grid.restore()
            self.grid_shown.emit(False)

    # ------------------------------------------------------------------------- difference and figures

    def add_difference(self) -> None:
        """Add layers of before minus after, white where nothing was changed."""
        comparison = self.comparison
        self._read(
            "difference",
            lambda found: show_differences(self.viewer, str(comparison), found[1], found[2]),
            lambda pairs, planes: [plane.difference for plane in planes],
            largest=_SHOWN,
            sparse=True,
        )

    def measure(self, reference_name: str | None = None) -> None:
        """Measure what is on screen: of several channels, the one whose result is chosen in the layer list.

        Parameters
        ----------
        reference_name
            Of the layer that is known to be right; if left out, one is looked for by its name.
        """
        comparison = self.comparison
        references = [layer for layer in self._references() if comparison is None or layer != comparison.source]

        def figures(pairs: list[Pair], planes: list[Planes]) -> list[tuple[str, str]]:
            assert comparison is not None
            return measure_pair(comparison, pairs[0], planes[0], references, reference_name)

        def show(found: tuple[Any, Any, list[tuple[str, str]]]) -> None:
            if comparison is self.comparison:
                self.measured.emit(str(comparison), found[2])

        self._read("figures", show, figures, first=self.viewer.layers.selection.active, largest=_MEASURED)

    # ------------------------------------------------------------------------------------------ reading

    def _read(self, name: str, show: Any, compute: Any = None, *, first: Any = None, **how: Any) -> None:
        """Read what is on screen on a worker thread, compute something of it there, and show it."""
        try:
            pairs = self._pairs()
        except RestoreError as error:
            self._tell(str(error), warning=True)
            return
        pairs = sorted(pairs, key=lambda pair: pair.result != first)

        def start(stop: threading.Event) -> Generator[Any, None, None]:
            planes = [pair.read(**how) for pair in pairs]
            yield (pairs, planes) if compute is None else (pairs, planes, compute(pairs, planes))

        def ended(error: BaseException | None) -> None:
            if error is not None:
                self._tell(str(error), warning=True)

        self._works.start(f"compare: {name}", start, show, ended)

    def _pairs(self) -> Sequence[Pair]:
        """What is on screen of source and result.

        Raises
        ------
        RestoreError
            If nothing of them can be compared now.
        """
        if self.comparison is None or not self._there():
            raise RestoreError("there is no result to compare yet; make a preview or a run first.")
        if self.viewer.dims.ndisplay != 2:
            raise RestoreError("planes are compared in the 2D view; leave the 3D view first.")
        comparison = self.comparison
        return find_pairs(comparison.source, comparison.axes, comparison.results, self.viewer.dims.point)

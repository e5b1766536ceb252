"""Compare a source with its result on the layers of a viewer: Before, wipe, grid, difference and figures."""

from __future__ import annotations

__all__ = ["HOLD_KEY", "CompareTools"]

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_restore.widgets.jobs.compare.comparison import Comparison, History
from napari_restore.widgets.jobs.compare.pairs import Pair, Planes
from napari_restore.widgets.jobs.controller import Works
from napari_restore.widgets.jobs.layers.image_layers import is_comparison, is_made_here
from napari_restore.widgets.threads.turns import Turns
from napari_restore.widgets.viewer.compare.difference import show_differences
from napari_restore.widgets.viewer.compare.measuring import Measuring
from napari_restore.widgets.viewer.compare.reading import PairReader
from napari_restore.widgets.viewer.compare.removing import remove_results
from napari_restore.widgets.viewer.compare.wipe import Wipe
from napari_restore.widgets.viewer.live_view import LiveView
from napari_restore.widgets.viewer.visibility import Visibility, show_and_hide
from napari_restore.wording import counted

if TYPE_CHECKING:
    from napari.viewer import Viewer

HOLD_KEY = "H"
"""The key that shows the source while it is held on the canvas."""
_SHOWN = 1536
"""Most source pixels along Y and X in a wipe or a difference; of a larger region, every n-th pixel is read."""


class CompareTools(QObject):
    """The tools that compare one source with its result. All of them use the same `comparison`.

    Pixels are read on worker threads; layers are changed on the main thread.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer of the layers.
    works : Works
        Runs reading and computing on threads.
    turns : Turns
        The queue on which result layers are replaced. A layer that is missing during a step may come back.
    tell : callable
        Shows a line of text; takes a keyword `warning`.

    Attributes
    ----------
    comparison : Comparison or None
        The current comparison; None if there is no result.
    history : History
        All comparisons that can be chosen.
    measuring : Measuring
        The figures of the comparison.
    """

    listed = Signal(list, int)
    """Names of the comparisons, and the index of the current one; -1: there is none."""
    wiped = Signal(float)
    """The fraction of the width that shows the source, when it is changed on the canvas."""
    grid_shown = Signal(bool)
    references_listed = Signal(list)
    """Names of the layers that can be the reference."""
    sides_shown = Signal(str, str)
    """Names of the current source and result; empty: there is nothing to compare."""
    before_shown = Signal(bool)
    """Whether the source is shown alone for a while."""

    def __init__(self, viewer: Viewer, works: Works, turns: Turns, tell: Callable[..., None]) -> None:
        super().__init__(turns)
        self.viewer, self._turns, self._tell = viewer, turns, tell
        self.comparison: Comparison | None = None
        self.history = History()
        self.wipe = Wipe(viewer, turns, self.wiped.emit)
        self._reader = PairReader(viewer, works, tell)
        self.measuring = Measuring(viewer, self._reader, tell, self)
        self.view = LiveView(viewer, self)
        self.view.moved.connect(self.measuring.outdated)
        self.view.rested.connect(self._view_rested)
        self._wiping = False
        self._before, self._grid = Visibility(viewer), Visibility(viewer)
        self._following = False
        self.follow()

    def follow(self) -> None:
        """Connect to the layer list, unless connected already."""
        if not self._following:
            self._following = True
            self.viewer.canvas.grid.events.enabled.connect(self._grid_enabled)
            self.viewer.layers.events.inserted.connect(self.list_references)
            self.viewer.layers.events.removed.connect(self._removed)
            self.view.follow(self.comparison is not None)

    def end(self) -> None:
        """End wipe, grid and key binding, and disconnect from the viewer."""
        self._take_back()
        self._drop_removed()
        self.view.follow(False)
        self.wipe.leave()
        bound = self.viewer.bind_key(HOLD_KEY, None)
        if bound is not None and bound != self._hold:
            self.viewer.bind_key(HOLD_KEY, bound)  # another dock widget has bound it since
        if self._following:
            self._following = False
            self.viewer.canvas.grid.events.enabled.disconnect(self._grid_enabled)
            self.viewer.layers.events.inserted.disconnect(self.list_references)
            self.viewer.layers.events.removed.disconnect(self._removed)

    # ------------------------------------------------------------------------------- comparison

    def compare(self, comparison: Comparison) -> None:
        """Make the comparison of a new result the current one."""
        in_grid = bool(self._grid) and (self.comparison is None or self.comparison.results != comparison.results)
        if in_grid:
            self.show_grid(False)
        if not comparison.complete:
            self._end_wipe()  # that of an earlier result
        self.history.add(comparison)
        self._choose(comparison)
        self._show_alone(comparison)
        if in_grid:
            self.show_grid(True)
        # The key belongs to the dock widget that showed a result last.
        self.viewer.bind_key(HOLD_KEY, self._hold, overwrite=True)
        self._wipe_again()

    def choose(self, index: int) -> None:
        """Make a comparison of the history the current one, and show its result."""
        if 0 <= index < len(self.history) and self.history[index] is not self.comparison:
            self._take_back()
            self._choose(self.history[index])
            self._show_alone(self.history[index])

    def choose_source(self, source: Any) -> None:
        """Make the latest comparison of a layer the current one, if there is one. Visible layers do not change."""
        found = self.history.of(source)
        if found is not None and self.comparison is not None and self.comparison.source != source:
            self._take_back()
            self._choose(found)

    def _choose(self, comparison: Comparison | None) -> None:
        self.comparison = comparison
        self.view.follow(comparison is not None)
        self.measuring.drop()
        self._list()
        self.measuring.judge(comparison)

    def _list(self) -> None:
        comparison, names = self.comparison, self.history.names()
        index = -1 if comparison is None else self.history.index(comparison)
        self.listed.emit(names, index)
        if comparison is not None and comparison.complete:
            self.sides_shown.emit(comparison.source.name, names[index])
        else:
            self.sides_shown.emit("", "")

    def _show_alone(self, comparison: Comparison) -> None:
        """Show the result, and hide the source's other results, which blending would add to it.

        The source is hidden too if the result covers it. Otherwise it stays visible where there is no result, and the
        lowest layer of the result is drawn over it, not added to it.
        """
        if self._grid:
            return
        visible = dict.fromkeys(self.history.results_of(comparison.source), False)
        visible |= {comparison.source: not comparison.covers} | dict.fromkeys(comparison.results, True)
        show_and_hide(self.viewer, visible)
        for number, (layer, blending) in enumerate(zip(comparison.results, comparison.blending, strict=False)):
            layer.blending = "translucent" if number == 0 and not comparison.covers else blending

    def complete(self, results: Sequence[Any]) -> None:
        """Take note that all pixels of these result layers are restored."""
        for comparison in self.history:
            if not comparison.complete and any(layer in comparison.results for layer in results):
                comparison.complete = True
                if comparison is self.comparison:
                    self._show_alone(comparison)
                    self._wipe_again()
                    self._list()
                    self.measuring.judge(comparison)

    def _removed(self, event: object = None) -> None:
        self.list_references()
        self._turns.call(self._drop_removed)

    def _drop_removed(self) -> None:
        """Drop comparisons of removed layers, choose another one, and show sources that have no result any more."""
        if self.wipe.is_incomplete():
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
        """End wipe, grid and Before of the current comparison."""
        self._end_wipe()
        self.show_grid(False)
        self._before.restore()

    def list_references(self, event: object = None) -> None:
        """List the layers that can be the reference: images that this package did not make."""
        self.references_listed.emit([layer.name for layer in self._references()])

    def _references(self) -> list[Any]:
        images = [layer for layer in self.viewer.layers if layer.__class__.__name__ == "Image"]
        return [layer for layer in images if not is_made_here(layer)]

    def _listed_results(self) -> list[Any]:
        results = () if self.comparison is None else self.comparison.results
        return [layer for layer in results if layer in self.viewer.layers]

    # ----------------------------------------------------------------------------------------- before

    def _hold(self, viewer: Viewer) -> Generator[None, None, None]:
        """Show the source while the key is held."""
        self.show_before(True)
        yield
        self.show_before(False)

    def show_before(self, wanted: bool) -> None:
        """Show the source instead of all its results, or the earlier state again."""
        self.before_shown.emit(wanted and self.comparison is not None)
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
                # The source shows one channel at a time, the results are a composite: show a composite of the source.
                self._before.change({layer: layer in self.comparison.results for layer in results})
                self._show_composite()
            else:
                self._before.change({source: True, **dict.fromkeys(results, False)})

    def _show_composite(self) -> None:
        def show(found: tuple[list[Pair], list[Planes]]) -> None:
            if self._before:
                self.wipe.begin(found[0], found[1], 1.0, line=False)

        self._reader.read(self.comparison, "before", show, largest=_SHOWN, sparse=True)

    # ------------------------------------------------------------------------------------------- wipe

    def wipe_to(self, fraction: float) -> None:
        """Show the source in this fraction of the width on screen, and the result in the rest; 0 ends the wipe."""
        if fraction == 0:
            self._end_wipe()
        elif self.wipe.begun:
            self.wipe.move(fraction)
        else:
            self.show_grid(False)
            self.viewer.canvas.grid.enabled = False  # also napari's own, which would give each layer a cell
            self.wipe.fraction = fraction
            self._wiping = True
            self._wipe_again()

    def _end_wipe(self) -> None:
        if self._wiping:
            self._wiping = False
            self.wiped.emit(0.0)
        self.wipe.end()

    def _grid_enabled(self, event: object = None) -> None:
        if self.viewer.canvas.grid.enabled:
            self._make_room_for_grid()

    def _make_room_for_grid(self) -> None:
        """End the wipe, because its line and its layers would take cells of a grid."""
        if self._wiping or self.wipe.begun:
            self._end_wipe()
            self._tell("The wipe has ended: a grid shows each layer in a cell of its own.")

    def _wipe_again(self) -> None:
        """Read the region on screen again, and show its wipe."""
        if not self._wiping or (self.comparison is not None and not self.comparison.complete):
            return

        def show(found: tuple[list[Pair], list[Planes]]) -> None:
            if self._wiping:
                self.wipe.begin(found[0], found[1], self.wipe.fraction)

        self._reader.read(self.comparison, "wipe", show, largest=_SHOWN, sparse=True)

    # ------------------------------------------------------------------------------------------- grid

    def show_grid(self, wanted: bool) -> None:
        """Show source and results side by side, or the earlier state again."""
        grid = self.viewer.canvas.grid
        if wanted and self.comparison is not None and not self._grid:
            self._make_room_for_grid()  # before the visibility is kept: a wipe hides the result
            compared = [self.comparison.source, *self._listed_results()]
            self._grid.change({layer: layer in compared for layer in self.viewer.layers})
            grid.stride, grid.shape, grid.enabled = 1, (-1, len(compared) if len(compared) < 4 else -1), True
            self.grid_shown.emit(True)
        elif not wanted and self._grid:
            grid.enabled = False
            self._grid.restore()
            self.grid_shown.emit(False)

    # ------------------------------------------------------------------------- difference and figures

    def add_difference(self) -> None:
        """Add layers of source minus result, white where nothing was changed."""
        comparison = self.comparison
        self._reader.read(
            comparison,
            "difference",
            lambda found: show_differences(self.viewer, str(comparison), found[1], found[2]),
            lambda pairs, planes: [plane.difference for plane in planes],
            largest=_SHOWN,
            sparse=True,
        )

    def measure(self, reference_name: str | None = None) -> None:
        """Measure the region on screen now, and again after each change of the view: see `Measuring.measure`."""
        references = [] if self.comparison is None else self._references()
        self.measuring.measure(self.comparison, references, reference_name)

    def _view_rested(self) -> None:
        """Show and measure what is on screen now."""
        self._wipe_again()
        self.measuring.repeat(self.comparison)

    def remove_results(self, which: str) -> None:
        """Remove results and their differences from the layer list, one layer at a time.

        Parameters
        ----------
        which : {"this", "others", "all"}
            Which of the results in the history.
        """
        chosen = [each for each in self.history if which == "all" or (each is self.comparison) == (which == "this")]
        self._turns.take(remove_results(self.viewer, chosen))
        self._tell(f"Removed {counted(len(chosen), 'result')}.")

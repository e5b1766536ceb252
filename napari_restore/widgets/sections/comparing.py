"""Connect the controls that compare with the tools that do it, and with the bar on the canvas."""

from __future__ import annotations

__all__ = ["Comparing"]

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget
from superqt.utils import QSignalDebouncer

from napari_restore.widgets.panels.compare_box import CompareBox
from napari_restore.widgets.panels.controls.column import Column
from napari_restore.widgets.threads.turns import Turns
from napari_restore.widgets.viewer.compare.compare_bar import CompareBar
from napari_restore.widgets.viewer.compare.compare_tools import HOLD_KEY, CompareTools
from napari_restore.widgets.viewer.files.saving import leave_helpers_out
from napari_restore.widgets.viewer.opening import open_trust

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.widgets.jobs.controller import Works

_LAID_OUT_AFTER = 50
"""Milliseconds until Qt has laid out a column that has become longer."""


class Comparing(QObject):
    """The comparison of one dock widget: its box, its tools, and the bar on the canvas.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    works, turns, tell
        See `CompareTools`.

    Attributes
    ----------
    box : CompareBox
        The controls.
    tools : CompareTools
        The tools.
    bar : CompareBar
        The bar on the canvas.
    """

    def __init__(self, viewer: Viewer, works: Works, turns: Turns, tell: Callable[..., None]) -> None:
        super().__init__(turns)
        box = self.box = CompareBox(HOLD_KEY)
        tools = self.tools = CompareTools(viewer, works, turns, tell)
        bar = self.bar = CompareBar(viewer, self)
        box.comparison_chosen.connect(tools.choose)
        box.removal_wanted.connect(tools.remove_results)
        box.before_held.connect(tools.show_before)
        box.wipe_wanted.connect(tools.wipe_to)
        box.grid_wanted.connect(tools.show_grid)
        box.difference_wanted.connect(tools.add_difference)
        box.trust_wanted.connect(self._open_trust)
        box.figures_wanted.connect(tools.measure)
        box.figures_wanted.connect(bar.open_again)
        tools.listed.connect(box.set_comparisons)
        tools.wiped.connect(box.show_wipe)
        tools.grid_shown.connect(box.show_grid)
        tools.references_listed.connect(box.set_references)
        tools.measuring.measured.connect(box.show_measures)
        tools.sides_shown.connect(bar.show_sides)
        tools.measuring.judged.connect(bar.show_measures)
        tools.measuring.outdated.connect(bar.show_outdated)
        tools.measuring.outdated.connect(box.show_outdated)
        tools.before_shown.connect(bar.show_before)
        tools.list_references()

    def _open_trust(self) -> None:
        """Open *Trust* for the result that is compared."""
        comparison = self.tools.comparison
        if comparison is not None:
            open_trust(self.tools.viewer, comparison.source, comparison.axes, comparison.results[0])

    def scroll(self, column: Column) -> None:
        """Make figures visible in a column that may be longer than the screen."""
        laid_out = QSignalDebouncer(parent=self)
        laid_out.setTimeout(_LAID_OUT_AFTER)
        self.box.figures_shown.connect(laid_out.throttle)
        laid_out.triggered.connect(lambda: column.ensureWidgetVisible(self.box.figures))

    def follow(self, window: QWidget) -> None:
        """Connect to the viewer, and use the canvas of this main window."""
        leave_helpers_out(self.tools.viewer)
        self.bar.follow(window)
        self.tools.follow()

    def end(self) -> None:
        """End the tools, and remove the bar."""
        self.tools.end()
        self.bar.end()

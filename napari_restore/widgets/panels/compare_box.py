"""The controls that compare a result with its source: Before, wipe, grid, difference, figures and trust."""

from __future__ import annotations

__all__ = ["CompareBox"]

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QPushButton, QSlider
from superqt.utils import signals_blocked

from napari_restore.widgets.panels.controls.box import Box, wrapped
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.note import Note
from napari_restore.widgets.panels.menus.more_button import MoreButton
from napari_restore.wording import counted

if TYPE_CHECKING:
    from napari_restore.widgets.jobs.compare.figures import Measures

_RESULT = "The result that is compared with its source; the latest comes first, and the others are hidden"


class CompareBox(Box):
    """The controls that compare a result with its source.

    Parameters
    ----------
    hold_key : str
        The key that shows the source while it is held.
    """

    comparison_chosen = Signal(int)
    before_held, grid_wanted = Signal(bool), Signal(bool)
    wipe_wanted = Signal(float)
    """The fraction of the width that shows the source."""
    figures_wanted = Signal(object)
    """Name of the reference layer; None: search for one."""
    difference_wanted = Signal()
    trust_wanted = Signal()
    figures_shown = Signal()
    """There are figures where there were none."""
    removal_wanted = Signal(str)
    """Which results are removed from the layer list: ``"this"``, ``"others"`` or ``"all"``."""

    def __init__(self, hold_key: str) -> None:
        super().__init__("Compare")
        self.comparisons = Choice()
        self.removal = MoreButton("Remove results from the layer list; OME-Zarrs stay on the disk")
        self.removal.setAccessibleName("Remove results")
        self.add("Result", self.comparisons, _RESULT, self.removal)
        self.hold, self.difference = QPushButton(f"Before ({hold_key})"), QPushButton("Difference")
        self.grid, self.measure = QPushButton("Grid"), QPushButton("Figures")
        self.trust = QPushButton("Trust…")
        self.grid.setCheckable(True)
        self.hold.setToolTip(
            f"Hold to see the source instead of the result; or hold the key {hold_key} with the mouse on the canvas"
        )
        self.difference.setToolTip(
            "Add a layer of source minus result for the region on screen; white: zero, nothing changed"
        )
        self.grid.setToolTip("Source and result side by side, with one camera")
        self.measure.setToolTip("Measure the region on screen")
        self.trust.setToolTip("Assess how far the whole result can be trusted, in a dock widget of its own")
        self.add_wide(wrapped(self.hold, self.grid, self.difference, self.trust))
        self.wipe = QSlider(Qt.Orientation.Horizontal)
        self.wipe.setRange(0, 100)
        self.wipe.setValue(0)
        self.add(
            "Wipe",
            self.wipe,
            "Source left of a line, result right of it; drag it here or on the canvas. Fully left: no wipe",
        )
        self.references = Choice()
        self.add(
            "Reference",
            self.references,
            "Layer with the known truth, for PSNR and SSIM; auto: one named “…clean” or “…reference”",
            self.measure,
        )
        self.set_references([])
        self.figures = Note("Figures of the region on screen, each with its meaning")
        self.add_wide(self.figures)
        self.hold.pressed.connect(lambda: self.before_held.emit(True))
        self.hold.released.connect(lambda: self.before_held.emit(False))
        self.comparisons.activated.connect(self.comparison_chosen)
        self.grid.toggled.connect(self.grid_wanted)
        self.wipe.valueChanged.connect(lambda percent: self.wipe_wanted.emit(percent / 100))
        self.difference.clicked.connect(self.difference_wanted)
        self.trust.clicked.connect(self.trust_wanted)
        self.measure.clicked.connect(lambda: self.figures_wanted.emit(self.references.currentData()))
        self.setEnabled(False)

    def set_comparisons(self, names: list[str], chosen: int) -> None:
        """List the comparisons, and show which is chosen. Without any, the box is disabled."""
        with signals_blocked(self.comparisons):
            self.comparisons.clear()
            self.comparisons.addItems(names)
            self.comparisons.setCurrentIndex(chosen)
        self.comparisons.setToolTip("\n".join(names) or _RESULT)
        self.setEnabled(bool(names))
        removals = self.removal.actions_menu
        removals.clear()
        titles = {"this": "Remove this result"}
        if len(names) > 1:
            others = counted(len(names) - 1, "other result")
            titles |= {"others": f"Remove {others}", "all": f"Remove all {len(names)} results"}
        for which, title in titles.items():
            removals.addAction(title, lambda which=which: self.removal_wanted.emit(which))

    def show_grid(self, shown: bool) -> None:
        """Show whether the grid is on, without a signal."""
        with signals_blocked(self.grid):
            self.grid.setChecked(shown)

    def set_references(self, names: list[str]) -> None:
        """List the layers that can be the reference."""
        chosen = self.references.currentText()
        self.references.clear()
        self.references.addItem("auto", None)
        for name in names:
            self.references.addItem(name, name)
        self.references.setCurrentText(chosen if chosen in names else "auto")

    def show_wipe(self, fraction: float) -> None:
        """Move the slider, without a signal."""
        with signals_blocked(self.wipe):
            self.wipe.setValue(round(100 * fraction))

    def show_outdated(self) -> None:
        """Pale the figures, until they are those of the view again."""
        self.figures.setEnabled(False)

    def show_measures(self, what: str, measures: Measures | None) -> None:
        """Show what was measured, with the name of its comparison; None removes it."""
        self.figures.setEnabled(True)
        if measures is None:
            self.figures.say("")
            return
        first = self.figures.isHidden()
        head = f"<p>{escape(what)}: {escape(measures.sentence)}</p>"
        rows = [f"<p>{each.mark} <b>{each.text}</b>: {each.meaning}</p>" for each in measures.figures]
        self.figures.say(head + "".join(rows))
        if first:
            self.figures_shown.emit()

"""Before and after: a button to hold, a wipe, a grid, the difference, and figures."""

from __future__ import annotations

__all__ = ["HOLD_KEY", "CompareBox"]

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QPushButton, QSlider

from napari_restore.widgets.panels.rows import Box, note, side_by_side

HOLD_KEY = "H"
"""Held while the canvas has the focus, it shows the source."""


class CompareBox(Box):
    """Tools for looking at a result beside its source."""

    swapped, gridded = Signal(bool), Signal(bool)
    wiped = Signal(int)
    difference_wanted, figures_wanted, figures_shown = Signal(), Signal(), Signal()

    def __init__(self) -> None:
        super().__init__("Compare")
        self.hold, self.difference = QPushButton(f"Before ({HOLD_KEY})"), QPushButton("Difference")
        self.grid, self.measure = QPushButton("Grid"), QPushButton("Figures")
        self.grid.setCheckable(True)
        self.hold.setToolTip(
            f"Hold to see the source instead of the result; or hold the key {HOLD_KEY} with the mouse on the canvas"
        )
        self.difference.setToolTip("Add a layer of source minus result, of what is on screen; grey: nothing changed")
        self.grid.setToolTip("Source and result side by side, with one camera")
        self.measure.setToolTip("Measure what is on screen")
        self.rows.addRow(side_by_side(self.hold, self.grid, self.difference))
        self.wipe = QSlider(Qt.Orientation.Horizontal)
        self.wipe.setRange(0, 100)
        self.wipe.setValue(0)
        self.add(
            "Wipe",
            self.wipe,
            "Source on the left, result on the right of a line; drag it here or on the canvas. Fully left: no wipe",
        )
        self.references = QComboBox()
        self.references.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.add(
            "Reference",
            side_by_side(self.references, self.measure),
            "Layer that is known to be right, for PSNR and SSIM; auto takes one named “…clean” or “…reference”",
        )
        self.references.setToolTip("Layer that is known to be right; auto takes one named “…clean” or “…reference”")
        self.set_references([])
        self.figures = note("Each figure says what it means")
        self.rows.addRow(self.figures)
        self.hold.pressed.connect(lambda: self.swapped.emit(True))
        self.hold.released.connect(lambda: self.swapped.emit(False))
        self.grid.toggled.connect(self.gridded)
        self.wipe.valueChanged.connect(self.wiped)
        self.difference.clicked.connect(self.difference_wanted)
        self.measure.clicked.connect(self.figures_wanted)
        self.setEnabled(False)

    def set_references(self, names: list[str]) -> None:
        """List the layers that may be chosen as reference."""
        chosen = self.references.currentText()
        self.references.clear()
        self.references.addItem("auto", None)
        for name in names:
            self.references.addItem(name, name)
        self.references.setCurrentText(chosen if chosen in names else "auto")

    def show_wipe(self, fraction: float) -> None:
        """Move the slider without an event of its own."""
        self.wipe.blockSignals(True)
        self.wipe.setValue(round(100 * fraction))
        self.wipe.blockSignals(False)

    def show_figures(self, figures: list[tuple[str, str]]) -> None:
        """Show figures, one a line, each with its meaning."""
        rows = [f"<tr><td><b>{name}</b>&nbsp;&nbsp;</td><td>{meaning}</td></tr>" for name, meaning in figures]
        self.say(self.figures, f"<table>{''.join(rows)}</table>" if rows else "")
        self.figures_shown.emit()

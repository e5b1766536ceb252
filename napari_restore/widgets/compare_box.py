"""Before and after: a button to hold, a wipe, the difference, and figures."""

from __future__ import annotations

__all__ = ["CompareBox"]

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSlider, QWidget

from napari_restore.widgets.rows import Box, note


class CompareBox(Box):
    """Tools for looking at a result beside its source."""

    swapped = Signal(bool)
    wiped = Signal(int)
    difference_wanted, figures_wanted = Signal(), Signal()

    def __init__(self) -> None:
        super().__init__("Compare")
        self.hold, self.difference, self.measure = (
            QPushButton("Before"),
            QPushButton("Difference"),
            QPushButton("Figures"),
        )
        self.hold.setToolTip("Hold to see the source instead of the result")
        self.difference.setToolTip("Add a layer of source minus result, of what is on screen")
        self.measure.setToolTip(
            "Measure what is on screen; PSNR and SSIM if a layer named “…clean” or “…reference” is there"
        )
        buttons = QWidget()
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.hold, self.difference, self.measure):
            row.addWidget(button)
        self.rows.addRow(buttons)
        self.wipe = QSlider(Qt.Orientation.Horizontal)
        self.wipe.setRange(0, 100)
        self.wipe.setValue(0)
        self.add("Wipe", self.wipe, "Drag: source on the left, result on the right, of what is on screen")
        self.figures = note("Each figure says what it means")
        self.rows.addRow(self.figures)
        self.hold.pressed.connect(lambda: self.swapped.emit(True))
        self.hold.released.connect(lambda: self.swapped.emit(False))
        self.wipe.valueChanged.connect(self.wiped)
        self.difference.clicked.connect(self.difference_wanted)
        self.measure.clicked.connect(self.figures_wanted)
        self.setEnabled(False)

    def show_figures(self, figures: list[tuple[str, str]]) -> None:
        """Show figures, one a line, each with its meaning."""
        rows = [f"<tr><td><b>{name}</b>&nbsp;&nbsp;</td><td>{meaning}</td></tr>" for name, meaning in figures]
        self.say(self.figures, f"<table>{''.join(rows)}</table>" if rows else "")

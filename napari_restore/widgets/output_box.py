"""Which values, and where the result goes."""

from __future__ import annotations

__all__ = ["OutputBox"]

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_restore.engine.describe import human_bytes
from napari_restore.errors import RecipeError
from napari_restore.widgets.rows import Box, note

if TYPE_CHECKING:
    from napari_restore.widgets.controller import Look


class OutputBox(Box):
    """Chooses value range, data type and place of the result."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Values and output")
        self.low, self.high = QLineEdit(), QLineEdit()
        for edit in (self.low, self.high):
            edit.setValidator(QDoubleValidator())
            edit.editingFinished.connect(self.changed)
        self.dtype, self.place = QComboBox(), QComboBox()
        self.dtype.addItems(["same", "uint8", "uint16", "float32"])
        self.place.addItem("Memory", "memory")
        self.place.addItem("OME-Zarr", "zarr")
        self.path, self.browse = QLineEdit(), QPushButton("…")
        self.path.setPlaceholderText("result.zarr")
        self.browse.setFixedWidth(28)
        self.pyramid, self.overwrite = QCheckBox("Pyramid"), QCheckBox("Replace")
        self.cost = note("Size, space and time of the run")
        self.add(
            "Range",
            _side_by_side(self.low, self.high),
            "Values that become 0 and 1 for the network; empty: as shown in grey, estimated",
        )
        self.add("Type", _side_by_side(self.dtype, self.place), "Data type of the result, and where it goes")
        self.file = _side_by_side(self.path, self.browse)
        self.add("File", self.file, "OME-Zarr to write; one that the same settings began is continued")
        self.options = _side_by_side(self.pyramid, self.overwrite)
        self.rows.addRow("", self.options)
        self.rows.addRow(self.cost)
        self.low.setToolTip("Value that becomes 0 for the network; empty: estimated")
        self.high.setToolTip("Value that becomes 1 for the network; empty: estimated")
        self.dtype.setToolTip("Data type of the result; “same” as the layer, rounded and clipped")
        self.place.setToolTip("Memory for what fits; an OME-Zarr is written block by block and can be resumed")
        self.path.setToolTip("OME-Zarr to write; one that the same settings began is continued")
        self.browse.setToolTip("Choose a folder and name")
        self.pyramid.setToolTip("Write coarser levels as well, for fast zooming")
        self.overwrite.setToolTip("Replace an OME-Zarr that is there")
        self.pyramid.setChecked(True)
        for box in (self.dtype, self.place):
            box.currentIndexChanged.connect(self._changed)
        self.path.editingFinished.connect(self.changed)
        for check in (self.pyramid, self.overwrite):
            check.toggled.connect(self._changed)
        self.browse.clicked.connect(self._browse)
        self._changed()

    def value_range(self) -> tuple[float, float] | None:
        """The range as typed; None where both fields are empty.

        Raises
        ------
        RecipeError
            If only one is given.
        """
        texts = self.low.text(), self.high.text()
        if not any(texts):
            return None
        if not all(texts):
            raise RecipeError("the value range has only one end; give both, or none to have it estimated.")
        low, high = (float(text.replace(",", ".")) for text in texts)
        if not low < high:
            raise RecipeError(f"value range {low:g}..{high:g}: the first must be less than the second.")
        return low, high

    def output(self) -> str | None:
        """Path of the output, None for memory.

        Raises
        ------
        RecipeError
            If a path is wanted and none is given.
        """
        if self.place.currentData() == "memory":
            return None
        text = self.path.text().strip()
        if not text:
            raise RecipeError("no file is named for the OME-Zarr; name one, or keep the result in memory.")
        path = Path(text).expanduser()
        return str(path if path.suffix else path.with_suffix(".zarr"))

    def show_look(self, look: Look | None) -> None:
        """Show the range that was estimated, and what the run will take."""
        if look is None:
            self.say(self.cost, "")
            return
        plan = look.plan
        ranges = plan.recipe.value_range or ()
        shown = ranges[0] if len(ranges) == 1 else None
        for i, edit in enumerate((self.low, self.high)):
            edit.setPlaceholderText(f"{shown[i]:g}" if shown else ("per channel" if ranges else ""))
            edit.setToolTip("\n".join(f"channel {c}: {low:g} … {high:g}" for c, (low, high) in enumerate(ranges)))
        where = "memory" if self.place.currentData() == "memory" else "disk"
        text = (
            f"{human_bytes(plan.output_bytes)} to {where}, {human_bytes(look.free_bytes)} free; "
            f"about {duration(look.report.seconds)} on {plan.recipe.device}."
        )
        if look.blocks_there:
            text += f" {look.blocks_there} of {plan.blocks} blocks are there: the run goes on with them."
        self.say(self.cost, text)

    def show_error(self, text: str) -> None:
        """Show why the run is not possible."""
        self.say(self.cost, text, warning=True)

    def _changed(self, value: object = None) -> None:
        to_disk = self.place.currentData() == "zarr"
        for row in (self.file, self.options):
            self.rows.setRowVisible(row, to_disk)
        self.changed.emit()

    def _browse(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "OME-Zarr to write", self.path.text() or "result.zarr", "OME-Zarr (*.zarr)"
        )
        if path:
            self.path.setText(path)
            self.changed.emit()


def duration(seconds: float) -> str:
    """Write a time span: ``"40 s"``, ``"14 min"``, ``"3.2 h"``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _side_by_side(*widgets: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row

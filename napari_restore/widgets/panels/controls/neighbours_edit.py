"""The control of the neighbouring planes that are averaged into each plane."""

from __future__ import annotations

__all__ = ["NeighboursEdit"]

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_restore.engine.planning.settings.neighbours import Neighbours
from napari_restore.widgets.panels.controls.box import side_by_side
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.note import Note

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan

_AXES = {
    None: ("auto", "For a denoiser, each axis along which the planes of a sample agree"),
    "none": ("none", "Each plane is restored on its own"),
    "T": ("T", "Planes before and after in time"),
    "Z": ("Z", "Planes above and below"),
    "TZ": ("T and Z", "Planes of both axes, without diagonals"),
}
_MAP = "Layer with the mean weight of the neighbouring planes at each pixel, 0 to 1, of the plane on screen"


class NeighboursEdit(QWidget):
    """A list of axes, the planes on each side, the choice of the plan in words, and a button for the map of weights."""

    changed, map_wanted = Signal(), Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.axis, self.planes, self.map = Choice(), QSpinBox(), QPushButton("Map")
        for value, (name, tip) in _AXES.items():
            self.axis.addItem(name, value)
            self.axis.setItemData(self.axis.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.axis.setToolTip("\n".join(f"{name}: {tip}" for name, tip in _AXES.values()))
        self.axis.setAccessibleName("Neighbours")
        self.planes.setRange(0, 5)
        self.planes.setSpecialValueText("auto")  # instead of 0
        self.planes.setPrefix("± ")
        self.planes.setKeyboardTracking(False)
        auto = ", ".join(f"{Neighbours().along(axis)} along {axis}" for axis in "TZ")
        self.planes.setToolTip(f"Planes on each side; auto: {auto}")
        self.planes.setAccessibleName("Planes on each side")
        self.map.setCheckable(True)
        self.map.setToolTip(_MAP)
        self.found = Note("What a sample of the layer shows: how many planes agree, and the noise that is left")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.axis)
        column.addWidget(side_by_side(self.planes, self.map))
        column.addWidget(self.found)
        self.show_plan(None)
        self.axis.currentIndexChanged.connect(self._switched)
        self.planes.valueChanged.connect(lambda value: self.changed.emit())
        self.map.toggled.connect(self.map_wanted)

    def value(self) -> Neighbours | None:
        """Return the chosen neighbours; None: the plan chooses axis and planes."""
        axis, planes = self.axis.currentData(), self.planes.value()
        if axis is None:
            return Neighbours(planes=planes) if planes else None
        return Neighbours(axis=axis, planes=planes) if planes and axis != "none" else Neighbours(axis=axis)

    def show_value(self, value: Neighbours | None) -> None:
        """Show neighbours; None: the plan chooses them."""
        shown = value or Neighbours()
        self.axis.setCurrentIndex(max(self.axis.findData(None if shown.axis == "auto" else shown.axis), 0))
        self.planes.setValue(shown.planes or 0)

    def show_plan(self, plan: Plan | None) -> None:
        """Show what the plan has chosen, and why; None: there is no plan for the current choices."""
        chosen = plan.recipe.neighbours if plan is not None else None
        self.axis.setItemText(0, f"auto ({_AXES[chosen.axis][0]})" if chosen and chosen.axis != "auto" else "auto")
        self.map.setEnabled(plan is not None and plan.fuses)
        if plan is not None and not plan.fuses:
            self.map.setChecked(False)
        if plan is None:
            self.found.say("")
        elif not any(plan.image.sizes.get(axis, 1) > 1 for axis in "TZ"):
            several = self.axis.currentData() not in (None, "none")
            text = "The region is a single plane, without neighbours; choose the whole layer as region to use them."
            self.found.say(text if several else "", warning=several)
        else:
            why = plan.why.get("neighbours", "")
            self.found.say(f"None, {why}." if why.startswith("as ") else f"{why}." if why else "")

    def _switched(self) -> None:
        self.planes.setEnabled(self.axis.currentData() != "none")
        self.changed.emit()

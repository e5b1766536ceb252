"""How to run, folded: device, precision, tile and halo."""

from __future__ import annotations

__all__ = ["PerformanceBox"]

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QSpinBox
from superqt import QCollapsible

from napari_restore.widgets.rows import Box

if TYPE_CHECKING:
    from napari_restore.engine.plan import Plan


class PerformanceBox(QCollapsible):
    """Chooses device, precision, tile and halo; zero stands for what the model's card says."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Performance")
        inner = Box("")
        self.device, self.precision = QComboBox(), QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.precision.addItems(["float32", "bfloat16"])
        self.tile, self.halo = QSpinBox(), QSpinBox()
        self.tile.setRange(0, 4096)
        self.tile.setSingleStep(8)
        self.halo.setRange(-1, 1024)
        self.halo.setValue(-1)
        self.tile.setSpecialValueText("auto")
        self.halo.setSpecialValueText("auto")
        inner.add("Device", self.device, "Where the network runs; auto takes a GPU if there is one")
        inner.add("Precision", self.precision, "bfloat16 is faster on newer GPUs; results differ slightly")
        inner.add("Tile", self.tile, "Side of a tile in pixels, a multiple of the model's alignment")
        inner.add("Halo", self.halo, "Context in pixels at each inner edge of a tile")
        self.setContent(inner)
        self.collapse(animate=False)
        for box in (self.device, self.precision):
            box.currentIndexChanged.connect(lambda index: self.changed.emit())
        for spin in (self.tile, self.halo):
            spin.editingFinished.connect(self.changed)

    def show_plan(self, plan: Plan) -> None:
        """Show what “auto” stands for."""
        self.tile.setSpecialValueText(f"auto ({plan.grid.tile_shape[0]})")
        self.halo.setSpecialValueText(f"auto ({plan.recipe.halo})")
        self.device.setItemText(0, f"auto ({plan.recipe.device})" if self.device.currentIndex() == 0 else "auto")

"""The folded box of device, precision, tile, halo and memory."""

from __future__ import annotations

__all__ = ["PerformanceBox"]

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QSpinBox
from superqt import QCollapsible
from superqt.utils import signals_blocked

from napari_restore.engine.planning.recipe import settings
from napari_restore.widgets.panels.controls.box import Box
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.control import Control, tip
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.widgets.jobs.preflight import Preflight

_GB = 10**9


class PerformanceBox(QCollapsible):
    """Device, precision, tile, halo and memory. “auto” shows in brackets what the plan has chosen."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Performance")
        inner = Box("")
        self.device, self.precision = Choice(), Choice()
        for name in ("auto", "cpu"):
            self.device.addItem(name, name)
        self.precision.addItem("auto", None)
        for name in settings()["precision"].values:
            self.precision.addItem(name, name)
        self.tile, self.halo, self.memory = QSpinBox(), QSpinBox(), QDoubleSpinBox()
        self.tile.setRange(0, 4096)
        self.tile.setSingleStep(8)
        self.tile.setSuffix(" px")
        self.halo.setRange(-1, 1024)
        self.halo.setValue(-1)
        self.halo.setSuffix(" px")
        self.memory.setRange(0, 8192)
        self.memory.setDecimals(1)
        self.memory.setSuffix(" GB")
        for spin in (self.tile, self.halo, self.memory):
            spin.setSpecialValueText("auto")
            spin.setKeyboardTracking(False)
        inner.add("Device", self.device, tip("device"))
        inner.add("Precision", self.precision, tip("precision"))
        inner.add("Tile", self.tile, tip("tile"))
        inner.add("Halo", self.halo, tip("halo"))
        inner.add("Memory", self.memory, tip("memory_budget"))
        self.controls = {
            "device": Control(self.device.currentData, lambda name: self.choose_device(name or "auto")),
            "precision": Control(
                self.precision.currentData,
                lambda name: self.precision.setCurrentIndex(max(self.precision.findData(name), 0)),
            ),
            "tile": Control(
                lambda: self.tile.value() or None,
                lambda side: self.tile.setValue(side if isinstance(side, int) else 0),
            ),
            "halo": Control(
                lambda: None if self.halo.value() < 0 else self.halo.value(),
                lambda width: self.halo.setValue(-1 if width is None else width),
            ),
            "memory_budget": Control(self.memory_budget, self.choose_memory_budget),
        }
        self.setContent(inner)
        self._draw_arrows()
        self.toggleButton().setToolTip("Device, precision, tile, halo and memory; “auto” suits most runs")
        self.collapse(animate=False)
        for box in (self.device, self.precision):
            box.currentIndexChanged.connect(lambda index: self.changed.emit())
        for spin in (self.tile, self.halo, self.memory):
            spin.valueChanged.connect(lambda value: self.changed.emit())

    def changeEvent(self, event: QEvent | None) -> None:
        """Draw the arrow in the colour of the theme."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._draw_arrows()

    def _draw_arrows(self) -> None:
        self.setExpandedIcon("▾")
        self.setCollapsedIcon("▸")

    def choose_device(self, name: str) -> None:
        """Choose a device by name; it is added if it is not in the list. The plan checks that it exists."""
        if self.device.findData(name) < 0:
            self.device.addItem(name, name)
        self.device.setCurrentIndex(self.device.findData(name))

    def memory_budget(self) -> int | None:
        """Return the memory budget in bytes; None: the plan chooses."""
        return round(self.memory.value() * _GB) or None

    def choose_memory_budget(self, budget: int | None) -> None:
        """Set the memory budget in bytes; None: the plan chooses."""
        self.memory.setValue((budget or 0) / _GB)

    def show_preflight(self, found: Preflight) -> None:
        """Show what “auto” stands for, and list the devices of this machine."""
        recipe = found.plan.recipe
        tile = recipe.tile if isinstance(recipe.tile, int) else " × ".join(map(str, found.plan.grid.tile_shape))
        self.tile.setSpecialValueText(f"auto ({tile})")
        self.halo.setSpecialValueText(f"auto ({recipe.halo})")
        self.memory.setSpecialValueText(f"auto ({human_bytes(found.plan.memory_bytes)})")
        with signals_blocked(self.device):
            for name in found.devices:
                if self.device.findData(name) < 0:
                    self.device.addItem(name, name)
        for box, chosen in ((self.device, recipe.device), (self.precision, recipe.precision)):
            box.setItemText(0, f"auto ({chosen})" if box.currentIndex() == 0 else "auto")

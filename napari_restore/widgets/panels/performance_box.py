"""The folded box of device, memory, tiles and batches."""

from __future__ import annotations

__all__ = ["PerformanceBox"]

from typing import TYPE_CHECKING

from napari_restore.widgets.panels.settings_fold import SettingsFold
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.widgets.jobs.preflight import Preflight


_FIRST = ("device", "precision", "backend", "memory_budget", "tile", "halo", "blend", "padding")


class PerformanceBox(SettingsFold):
    """Device, memory, tiles and batches. The devices of this machine are listed when they are known."""

    def __init__(self) -> None:
        super().__init__("Performance", "Device, memory, tiles and batches; “auto” suits most runs", *_FIRST)
        self.device, self.precision, self.memory = map(self.native, ("device", "precision", "memory_budget"))
        self.tile, self.halo = self.native("tile"), self.native("halo")

    def choose_device(self, name: str) -> None:
        """Choose a device by name; it is added if it is not in the list. The plan checks that it exists."""
        self.made["device"].show(name)

    def memory_budget(self) -> int | None:
        """Return the memory budget in bytes; None: the plan chooses."""
        budget: int | None = self.made["memory_budget"].value()
        return budget

    def choose_memory_budget(self, budget: int | None) -> None:
        """Set the memory budget in bytes; None: the plan chooses."""
        self.made["memory_budget"].show(budget)

    def show_preflight(self, found: Preflight) -> None:
        """Show what “auto” stands for, and list the devices of this machine."""
        recipe, plan = found.plan.recipe, found.plan
        tile = recipe.tile if isinstance(recipe.tile, int) else " × ".join(map(str, plan.grid.tile_shape))
        self.made["device"].add(found.devices)
        memory = human_bytes(plan.memory_bytes)
        self.show_planned(dict(recipe) | {"tile": tile, "memory_budget": memory})

"""The control of the denoiser that runs before super-resolution."""

from __future__ import annotations

__all__ = ["DenoiseEdit"]

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_restore import api
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.note import Note

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan


class DenoiseEdit(QWidget):
    """A list of denoisers, with “none” and “auto”, and the choice of the plan in words."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.model, self.found = Choice(), Note("The denoiser that the noise of the layer asks for")
        for name in (
            "none",
            "auto",
            *(card.name for card in api.models() if card.task == "denoise" and not card.sigma),
        ):
            self.model.addItem(name, name)
        self.model.setAccessibleName("Denoise first")
        self.model.setToolTip(
            "Denoiser that runs before super-resolution, in the same run; auto: the default one, if the noise needs it"
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.model)
        column.addWidget(self.found)
        self.model.currentIndexChanged.connect(lambda index: self.changed.emit())

    def value(self) -> str:
        """Return the name or path of the denoiser, ``"auto"`` or ``"none"``."""
        return str(self.model.currentData())

    def show_value(self, name: str | None) -> None:
        """Show a denoiser by name or path; it is added to the list if it is not there. None: none."""
        if self.model.findData(name or "none") < 0:
            self.model.addItem(name, name)
        self.model.setCurrentIndex(self.model.findData(name or "none"))

    def show_plan(self, plan: Plan | None) -> None:
        """Show what “auto” stands for, and why; None: there is no plan for the current choices."""
        chosen = plan is not None and self.value() == "auto"
        self.model.setItemText(1, f"auto ({plan.recipe.denoise})" if plan is not None and chosen else "auto")
        why = plan.why.get("denoise", "") if plan is not None else ""
        self.found.say(f"{why[0].upper()}{why[1:]}." if why else "")

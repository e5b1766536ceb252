"""A folded box with the controls of a section of the settings' schema."""

from __future__ import annotations

__all__ = ["SettingsFold"]

from typing import Any

from qtpy.QtCore import QEvent, Signal
from superqt import QCollapsible

from napari_restore.widgets.panels.controls.box import Box
from napari_restore.widgets.panels.controls.control import Control
from napari_restore.widgets.panels.controls.made import Made, make_controls


class SettingsFold(QCollapsible):
    """A folded box. “auto” shows in brackets what the plan has chosen.

    Parameters
    ----------
    section : str
        Its title, and the section of `Setting.control`.
    tooltip : str
        What is in it.
    *first : str
        Names of the settings that stand first.

    Attributes
    ----------
    made : dict of str to Made
        Its controls, by the name of the setting.
    """

    changed = Signal()

    def __init__(self, section: str, tooltip: str, *first: str) -> None:
        super().__init__(section)
        self.made: dict[str, Made] = make_controls(section, *first)
        inner = Box("")
        for made in self.made.values():
            inner.add_made(made)
            made.when_changed(self.changed.emit)
        self.controls = {name: Control(made.value, made.show) for name, made in self.made.items()}
        self.setContent(inner)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
        self.toggled.connect(inner.setVisible)  # or the tab key would reach controls that are folded away
        self._draw_arrows()
        self.toggleButton().setToolTip(tooltip)
        self.collapse(animate=False)

    def native(self, name: str) -> Any:
        """Return the Qt widget of a setting."""
        return self.made[name].native

    def changeEvent(self, event: QEvent | None) -> None:
        """Draw the arrow in the colour of the theme."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._draw_arrows()

    def _draw_arrows(self) -> None:
        self.setExpandedIcon("▾")
        self.setCollapsedIcon("▸")

    def show_planned(self, planned: dict[str, Any]) -> None:
        """Show what “auto” stands for, by the name of the setting."""
        for name, made in self.made.items():
            if name in planned:
                made.show_planned(planned[name])

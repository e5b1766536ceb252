"""Connect the control of a setting with the form."""

from __future__ import annotations

__all__ = ["Control", "tip"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_restore.engine.planning.recipe import settings
from napari_restore.errors import RestoreError


@dataclass(frozen=True)
class Control:
    """The functions that read and set the control of a setting.

    Attributes
    ----------
    value : callable
        Returns the chosen value as a recipe stores it; None: the plan chooses. Raises `RestoreError` if typed text is
        wrong.
    show : callable
        Shows a value as a recipe stores it; None: the plan chooses.
    """

    value: Callable[[], Any]
    show: Callable[[Any], None]

    def show_exactly(self, value: Any) -> bool:
        """Show a value, and return whether the control shows it exactly. If not, no value is chosen."""
        self.show(value)
        try:
            exact = bool(self.value() == value)
        except RestoreError:
            exact = False
        if not exact:
            self.show(None)
        return exact


def tip(name: str) -> str:
    """Return the description of a setting, for the tooltip of its control."""
    return settings()[name].description

"""What a control is to the form, and what there is to say of its setting."""

from __future__ import annotations

__all__ = ["Control", "tip"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_restore.engine.planning.recipe import settings
from napari_restore.errors import RestoreError


@dataclass(frozen=True)
class Control:
    """What is chosen of a setting, and how a value is shown.

    Attributes
    ----------
    value
        Gives what is chosen, as a recipe stores it; None where the plan chooses. Raises a `RestoreError` where
        something that is typed is wrong.
    show
        Shows a value as a recipe stores it; None where the plan chooses.
    """

    value: Callable[[], Any]
    show: Callable[[Any], None]

    def show_exactly(self, value: Any) -> bool:
        """Show a value and tell whether it can be shown exactly; if not, nothing is chosen."""
        self.show(value)
        try:
            exact = bool(self.value() == value)
        except RestoreError:
            exact = False
        if not exact:
            self.show(None)
        return exact


def tip(name: str) -> str:
    """What there is to say of a setting, for the tooltip of its control."""
    return settings()[name].description

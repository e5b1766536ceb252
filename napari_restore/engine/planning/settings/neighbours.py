"""Which neighbouring planes a run averages into each plane before the network sees it: the setting of a recipe."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_restore.errors import RecipeError

__all__ = ["NONE", "Neighbours", "parse_neighbours"]


class Neighbours(BaseModel):
    """The neighbours of a plane that count, see `napari_restore.intensity.fusion`.

    Attributes
    ----------
    axis
        ``"T"`` or ``"Z"``, ``"TZ"`` for both (no diagonals), ``"none"``; ``"auto"``: those along which the sample
        of the image shows planes that agree.
    planes
        Neighbours on each side.
    strength
        Factor on how much planes may differ and still be averaged.
    noise
        Of each channel: gain (data units a photon), offset and read noise (data units), autocorrelation along y and x.
        None: the recipe's, or estimated.
    left
        Of each channel: noise that is left, as a share of a plane's own, typically. None: measured on the sample.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: Literal["auto", "none", "T", "Z", "TZ"] = "auto"
    planes: int = Field(default=2, ge=1, le=5)
    strength: float = Field(default=1.0, gt=0, le=3)
    noise: tuple[tuple[float, float, float, float, float], ...] | None = None
    left: tuple[float, ...] | None = None

    @field_validator("axis", mode="before")
    @classmethod
    def _either_order(cls, value: Any) -> Any:
        return "TZ" if value == "ZT" else value

    def __str__(self) -> str:
        """Write it as `parse_neighbours` reads it: as JSON where what an image has shown is part of it."""
        if self.noise is not None or self.left is not None:
            return self.model_dump_json(exclude_none=True)
        return "none" if self.axis == "none" else f"{self.axis},{self.planes},{self.strength!r}"

    def agrees_with(self, chosen: Neighbours) -> bool:
        """Tell whether a choice is one that fits what was given here."""
        return all(
            getattr(self, name) == getattr(chosen, name) or (name, self.axis) == ("axis", "auto")
            for name in self.model_fields_set
        )


NONE = Neighbours(axis="none")


def parse_neighbours(text: str) -> dict[str, Any] | None:
    """Read ``"T"``, ``"TZ,1"`` or ``"Z,3,0.8"``: axis, planes on each side, strength. None for ``"auto"``.

    JSON is read as well: so the command line takes what a stored recipe knows of its image.

    Raises
    ------
    RecipeError
        If it is none of these.
    """
    if text.lstrip().startswith("{"):
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise RecipeError(f"neighbours {text!r} is no JSON: {error}.") from None
    names = ("axis", "planes", "strength")
    parts = [part.strip() for part in text.split(",")]
    try:
        numbers = [kind(part) for kind, part in zip((int, float), parts[1:], strict=False)]
    except ValueError:
        numbers = []
    if parts[0] not in ("auto", "none", "T", "Z", "TZ", "ZT") or len(numbers) != len(parts) - 1:
        raise RecipeError(
            f"neighbours {text!r} is not auto, none, or an axis T, Z or TZ, with the planes on each side and the "
            "strength behind it if need be, like T,3 or TZ,2,0.8."
        )
    return None if parts == ["auto"] else dict(zip(names, [parts[0], *numbers], strict=False))

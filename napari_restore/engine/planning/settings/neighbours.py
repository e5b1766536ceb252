"""Define the setting `neighbours`: the planes that are averaged into each plane before it goes through the network."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_restore.errors import RecipeError

__all__ = ["NONE", "Neighbours", "parse_neighbours"]


_PLANES = {"T": 3, "Z": 2}


class Neighbours(BaseModel):
    """The neighbours that are averaged into a plane; see `napari_restore.intensity.fusion`.

    Attributes
    ----------
    axis : {"auto", "none", "T", "Z", "TZ"}
        Axis of the neighbours; ``"TZ"`` for both axes, without diagonals. ``"auto"`` for the axes along which planes
        agree in a sample of the image.
    planes : int, optional
        Number of neighbours on each side, 1 to 5. None for 3 along T and 2 along Z, where structure changes sooner.
    strength : float
        Factor on the difference up to which planes are averaged, greater than 0 and at most 3.
    noise : tuple of tuple of float, optional
        For each channel: gain (data units per photon), offset and read noise (data units), autocorrelation along y and
        x. None to use the recipe's noise, or to estimate it.
    left : tuple of float, optional
        For each channel: typical noise after averaging, divided by the noise of a plane. None to estimate it from a
        sample.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: Literal["auto", "none", "T", "Z", "TZ"] = "auto"
    planes: int | None = Field(default=None, ge=1, le=5)
    strength: float = Field(default=1.0, gt=0, le=3)
    noise: tuple[tuple[float, float, float, float, float], ...] | None = None
    left: tuple[float, ...] | None = None

    @field_validator("axis", mode="before")
    @classmethod
    def _either_order(cls, value: Any) -> Any:
        return "TZ" if value == "ZT" else value

    def __str__(self) -> str:
        """Write the setting in the form that `parse_neighbours` reads; as JSON if it has estimates of an image."""
        if self.axis == "none":
            return "none"
        if self.noise is not None or self.left is not None or (self.planes is None and self.strength != 1):
            return self.model_dump_json(exclude_none=True)
        return self.axis if self.planes is None else f"{self.axis},{self.planes},{self.strength!r}"

    def along(self, axis: str) -> int:
        """Return the number of neighbours on each side along an axis.

        Parameters
        ----------
        axis : {"T", "Z"}
            The axis.

        Returns
        -------
        int
            The number that is set, or that of the axis.
        """
        return self.planes or _PLANES[axis]

    def agrees_with(self, chosen: Neighbours) -> bool:
        """Check whether a complete setting has the values that are set in this one.

        Parameters
        ----------
        chosen : Neighbours
            The complete setting.

        Returns
        -------
        bool
            Whether all values that are set here are the same; ``"auto"`` agrees with any axis.
        """
        return all(
            getattr(self, name) == getattr(chosen, name) or (name, self.axis) == ("axis", "auto")
            for name in self.model_fields_set
        )


NONE = Neighbours(axis="none")


def parse_neighbours(text: str) -> dict[str, Any] | None:
    """Parse ``"T"``, ``"TZ,1"`` or ``"Z,3,0.8"``: axis, planes on each side, strength.

    JSON is parsed as well, so that the command line accepts the value of a stored recipe.

    Parameters
    ----------
    text : str
        The setting in words.

    Returns
    -------
    dict or None
        Fields of `Neighbours`; None for ``"auto"``.

    Raises
    ------
    RecipeError
        If the text has none of these forms.
    """
    if text.lstrip().startswith("{"):
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise RecipeError(f"neighbours {text!r} is not valid JSON: {error}.") from None
    names = ("axis", "planes", "strength")
    parts = [part.strip() for part in text.split(",")]
    try:
        numbers = [kind(part) for kind, part in zip((int, float), parts[1:], strict=False)]
    except ValueError:
        numbers = []
    if parts[0] not in ("auto", "none", "T", "Z", "TZ", "ZT") or len(numbers) != len(parts) - 1:
        raise RecipeError(
            f"neighbours {text!r} is not auto, none, or an axis T, Z or TZ, optionally followed by the planes on each "
            "side and the strength, like T,3 or TZ,2,0.8."
        )
    return None if parts == ["auto"] else dict(zip(names, [parts[0], *numbers], strict=False))

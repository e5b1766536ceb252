"""Schema of the OME-Zarr metadata that come from other software: images, plates and wells, versions 0.4 and 0.5.

It has the rules that a copy of such metadata must keep for other readers. Fields it does not know stay as they are.
https://ngff.openmicroscopy.org/0.5
"""

from __future__ import annotations

__all__ = ["Multiscale", "Plate", "Well"]

import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

Item = TypeVar("Item")


def _different(items: list[Item]) -> list[Item]:
    if any(item in items[:number] for number, item in enumerate(items)):
        raise ValueError("two entries of a list are the same")
    return items


Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9]*$")]


class _Attributes(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Axis(_Attributes):
    """Axis of an image."""

    name: str
    type: str | None = None
    unit: Any = None


class Transformation(_Attributes):
    """Scale or translation of a level: one number for each axis."""

    type: Literal["scale", "translation"]
    scale: list[float] | None = None
    translation: list[float] | None = None

    @property
    def numbers(self) -> list[float] | None:
        """The numbers of its type."""
        return self.scale if self.type == "scale" else self.translation


class Dataset(_Attributes):
    """Level of an image."""

    path: str
    coordinateTransformations: list[Transformation]

    @model_validator(mode="after")
    def _scaled(self) -> Self:
        _check_kinds(self.coordinateTransformations)
        return self


def _check_kinds(transformations: Sequence[Transformation]) -> None:
    kinds = [transformation.type for transformation in transformations]
    if kinds not in (["scale"], ["scale", "translation"]):
        raise ValueError(f"transformations {kinds} are not a scale, or a scale and then a translation")


class Multiscale(_Attributes):
    """Levels of an image."""

    axes: list[Axis]
    datasets: Annotated[list[Dataset], Field(min_length=1)]
    coordinateTransformations: list[Transformation] | None = None

    @model_validator(mode="after")
    def _axes_are_known(self) -> Self:
        kinds, names = [axis.type for axis in self.axes], [axis.name for axis in self.axes]
        space = kinds.count("space")
        if not 2 <= len(kinds) <= 5 or not 2 <= space <= 3 or len(set(names)) != len(names):
            raise ValueError(f"axes {names} are not 2 to 5 with different names, 2 or 3 of them in space")
        rest = kinds[: len(kinds) - space]
        if "space" in rest or "time" in rest[1:] or rest.count("channel") > 1:
            raise ValueError(f"types of axes {kinds} are not in the order time, channel, space, each but space once")
        others = [kind for kind in rest if kind not in ("time", "channel")]
        if len(others) > 1:
            raise ValueError(f"more than one axis is neither in time nor space nor a channel: {kinds}")
        return self

    @model_validator(mode="after")
    def _one_number_for_each_axis(self) -> Self:
        if self.coordinateTransformations is not None:
            _check_kinds(self.coordinateTransformations)
        levels = [*(level.coordinateTransformations for level in self.datasets), self.coordinateTransformations or []]
        for transformation in (one for level in levels for one in level):
            if transformation.numbers is None or len(transformation.numbers) != len(self.axes):
                raise ValueError(f"a {transformation.type} does not have one number for each of {len(self.axes)} axes")
        sizes = [[abs(n) for n in level.coordinateTransformations[0].numbers or ()] for level in self.datasets]
        for finer, coarser in itertools.pairwise(sizes):
            if any(a > b for a, b in zip(finer, coarser, strict=True)):
                raise ValueError("levels are not in the order from the finest to the coarsest")
        return self


class Acquisition(_Attributes):
    """Acquisition of a plate."""

    id: NonNegativeInt
    name: str | None = None
    maximumfieldcount: PositiveInt | None = None
    description: str | None = None
    starttime: int | None = None
    endtime: int | None = None


class Line(_Attributes):
    """Row or column of a plate."""

    name: Name


class WellOfPlate(_Attributes):
    """Place of a well in a plate."""

    path: str
    rowIndex: int
    columnIndex: int


class Plate(_Attributes):
    """Metadata of a plate."""

    acquisitions: list[Acquisition] | None = None
    columns: Annotated[list[Line], AfterValidator(_different)]
    field_count: PositiveInt | None = None
    name: str | None = None
    rows: Annotated[list[Line], AfterValidator(_different)]
    wells: list[WellOfPlate]
    version: str | None = None

    @model_validator(mode="after")
    def _wells_are_in_it(self) -> Self:
        rows, columns = ({line.name for line in lines} for lines in (self.rows, self.columns))
        for well in self.wells:
            row, _, column = well.path.partition("/")
            if row not in rows or column not in columns:
                raise ValueError(f"well {well.path!r} is in no row and column of the plate")
        return self


class ImageOfWell(_Attributes):
    """Field of a well."""

    path: Name
    acquisition: int | None = None


class Well(_Attributes):
    """Metadata of a well."""

    images: Annotated[list[ImageOfWell], AfterValidator(_different)]
    version: str | None = None

"""The recipe: every setting that a result depends on, and how to run it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_restore.errors import RecipeError

__all__ = ["EXECUTION_FIELDS", "Recipe", "digest", "for_each", "make_recipe"]

Item = TypeVar("Item")

EXECUTION_FIELDS = frozenset(
    {"batch", "compiled", "device", "fsync", "lanes", "memory_budget", "on_error", "threads", "workers"}
)
"""Fields that say how to run and not what comes out: two recipes that differ in these alone give one result."""
_KEPT = frozenset({"batch", "compiled", "threads"})
"""Those of them that a run which is continued keeps: they move the last bits."""


class Recipe(BaseModel):
    """The settings of a run. A field that is None is chosen when the run is planned, and stored with the output.

    Attributes
    ----------
    model
        Name of a bundled model, or path of a checkpoint.
    img_range, mean
        Of SwinIR, where `model` is a path: the factor on the input and what is subtracted from its channels, which the
        shapes in a checkpoint do not tell. None: what the file's metadata say, or the published models' values.
    axes
        One letter of TCZYXS per axis of the source, in its own order; None where its metadata tell.
    level, series
        Resolution level and image of the source.
    tile
        Side of a tile in input pixels, a multiple of the model's alignment; or height and width.
    halo
        Context in input pixels at each inner edge of a tile; it has no weight in the result.
    blend
        Width in input pixels of the hand-over between two tiles.
    padding
        How a plane is enlarged to a size that the network takes: ``"reflect"``, or ``"authors"``, the rule of the
        networks' own test scripts, for reproducing their tables. It is for whole planes: there are no tiles.
    intensity
        How values are brought to what the network was trained on: ``"range"``, by the `value_range` that is given;
        ``"percentile"``, by one that is estimated (0.1 and 99.9 %); ``"poisson-gaussian"``, by the noise: its variance
        is stabilised, and its standard deviation brought to the model's. ``"auto"``, the same as None: chosen by the
        model, see `napari_restore.engine.planning.normalisation`.
    value_range
        Values, in data units, that become 0 and 1 for the network: one pair, or one for each channel.
    noise
        Gain (data units per photon), offset and read noise (data units) of the detector, for ``"poisson-gaussian"``:
        for all channels or for each. None: estimated from the image.
    dtype
        ``"same"`` as the source (rounded and clipped, never wrapped), or the name of a NumPy type.
    precision
        Of the network: ``"float32"``, or ``"bfloat16"``, which is chosen where the device is fast at it and the model's
        card says that it costs at most 0.02 dB. Never float16, which overflows in these networks.
    chunks, shards
        Shape of a chunk and of a stored object of the output, in canonical order (TCZYXS).
    pyramid
        Whether the output gets coarser levels.
    ome_version
        OME-Zarr version of the output: ``"0.5"`` (Zarr 3, sharded) or ``"0.4"`` (Zarr 2).
    device
        ``"auto"``, ``"cpu"``, ``"cuda:1"``, ``"mps"``; ``"cuda"`` for all GPUs, ``"cuda:0,cuda:2"`` for some: a stored
        result is then made by a process for each.
    batch
        Tiles that go through the network together.
    workers
        Blocks in progress at a time, so that reading, computing and writing overlap.
    on_error
        What to do about pixels of the source that cannot be read: ``"raise"`` ends the run and names them; ``"fill"``
        puts the lower end of the value range in their place, and the result says where.
    fsync
        Whether each stored object is on the disk before the next one counts, so that a power cut takes none of them.
    compiled
        Whether the network is compiled first, which takes minutes and pays in long runs. It moves the last bits of
        float32, so a run that is continued keeps what it began with.
    lanes
        Batches in the network at a time: on a CPU as many as there are cores, which they share out, if memory allows.
    threads
        Threads of the CPU in each lane, by default its part of the cores. They move the last bits, so a run that is
        continued keeps what it began with: with less memory, or other cores, it has other lanes.
    memory_budget
        Bytes of the host's memory, or a text such as ``"8GB"``, that the run may take beyond the program itself
        (Python, torch, the weights). None: half of what is free. A run that cannot fit is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    img_range: float | None = None
    mean: tuple[float, ...] | None = None
    axes: str | None = None
    level: int = Field(default=0, ge=0)
    series: int = Field(default=0, ge=0)
    tile: int | tuple[int, int] | None = None
    halo: int | None = None
    blend: int | None = None
    padding: Literal["reflect", "authors"] = "reflect"
    intensity: Literal["percentile", "range", "poisson-gaussian"] | None = None
    value_range: tuple[tuple[float, float], ...] | None = None
    noise: tuple[tuple[float, float, float], ...] | None = None
    dtype: str = "same"
    precision: Literal["float32", "bfloat16"] | None = None
    chunks: tuple[int, ...] | None = None
    shards: tuple[int, ...] | None = None
    pyramid: bool = True
    ome_version: Literal["0.4", "0.5"] = "0.5"
    device: str = "auto"
    batch: int | None = Field(default=None, ge=1)
    workers: int | None = Field(default=None, ge=1)
    on_error: Literal["raise", "fill"] = "raise"
    fsync: bool = False
    compiled: bool | None = None
    lanes: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1)
    memory_budget: int | None = Field(default=None, ge=1)

    @field_validator("memory_budget", mode="before")
    @classmethod
    def _bytes(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        units = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
        found = re.fullmatch(r"([0-9.]+) ?([kKMGT]?)(i?)B?", value.strip())
        try:
            number = float(found[1]) if found else -1.0
        except ValueError:
            number = -1.0
        if found is None or number < 0:
            raise ValueError("write a number of bytes with its unit, such as '8GB' or '500MB'")
        unit = units[found[2].upper()]
        return int(number * (unit if not found[3] else 1024 ** list(units.values()).index(unit)))

    @field_validator("intensity", mode="before")
    @classmethod
    def _auto_is_open(cls, value: Any) -> Any:
        return None if value == "auto" else value

    @field_validator("value_range", "noise", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: Any) -> Any:
        if value is not None and len(value) and all(np.isscalar(item) for item in value):
            return (tuple(value),)
        return value

    @field_validator("noise")
    @classmethod
    def _of_a_camera(cls, value: tuple[tuple[float, float, float], ...] | None) -> Any:
        if not value:
            return value
        # A dock widget is opened with recipes, and would wait for scipy.
        from napari_restore.intensity.stabilise import CameraNoise

        for camera in value:
            try:
                CameraNoise(*camera)
            except RecipeError as error:
                raise ValueError(str(error).removesuffix(".")) from None
        return value

    @field_validator("value_range")
    @classmethod
    def _rising(cls, value: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...] | None:
        for low, high in value or ():
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise ValueError(f"value range {low}..{high}: the first must be less than the second, both finite")
        return value

    @field_validator("dtype", mode="before")
    @classmethod
    def _known_dtype(cls, value: Any) -> str:
        if value in (None, "same"):
            return "same"
        try:
            dtype = np.dtype(value)
        except TypeError as error:
            raise ValueError(f"dtype {value!r} is unknown; use 'same', 'uint16', 'float32', ...") from error
        if dtype.kind not in "uif":
            raise ValueError(f"dtype {dtype} cannot hold an image; use 'same', 'uint16', 'float32', ...")
        return str(dtype.name)

    def merged(self, stored: Recipe) -> Recipe:
        """Fill the fields that were not given here from the recipe of an earlier run with the same model.

        A field that was given as None was not given. Of those that say how to run, only what moves the last bits is
        taken over: another machine has other devices, cores and memory.
        """
        if stored.model != self.model:
            return self
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        taken = Recipe.model_fields.keys() - (EXECUTION_FIELDS - _KEPT) - given
        return Recipe(**{**stored.model_dump(include=taken), **self.model_dump(include=given)})

    def given(self) -> dict[str, Any]:
        """Everything given here that the stored result depends on, as JSON types: what was left open is not in it."""
        left = {*EXECUTION_FIELDS, "model"}
        settings = self.model_dump(mode="json", exclude=left, exclude_defaults=True)
        return {name: value for name, value in settings.items() if name in self.model_fields_set}

    def pixel_settings(self) -> dict[str, Any]:
        """Everything the stored result depends on, as JSON types."""
        return self.model_dump(mode="json", exclude=set(EXECUTION_FIELDS))


def make_recipe(**settings: Any) -> Recipe:
    """Make a recipe from keyword arguments.

    Raises
    ------
    RecipeError
        If a setting is unknown or out of its allowed values.
    """
    try:
        return Recipe(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise RecipeError(f"there is no setting {name!r}; use one of {', '.join(Recipe.model_fields)}.") from None
        raise RecipeError(f"{name}={first['input']!r}: {first['msg'].removeprefix('Value error, ')}.") from None


def for_each(given: tuple[Item, ...], count: int) -> tuple[Item, ...]:
    """Give what is given for each channel, or once for all `count` of them, for each.

    Examples
    --------
    >>> for_each(((0, 255),), 2), for_each(((0, 255), (0, 9)), 2)
    (((0, 255), (0, 255)), ((0, 255), (0, 9)))
    """
    return given * count if len(given) == 1 else given


def digest(content: dict[str, Any]) -> str:
    """SHA-256 of JSON-like content, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()

"""What a person has chosen, and the job that it makes of a layer."""

from __future__ import annotations

__all__ = ["Choices", "Job", "Task"]

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from napari_restore import api
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.widgets.jobs.layers import Region, layer_image

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.images.image import Image

Task = Literal["denoise", "super-resolve"]


@dataclass(frozen=True)
class Choices:
    """What a person has chosen; None where the plan chooses.

    Attributes
    ----------
    model
        Name of a model, or path of a checkpoint.
    intensity, value_range, noise, dtype, pyramid, device, precision, tile, halo, memory_budget
        See `napari_restore.api.Settings`.
    img_range, mean, blend, padding, ome_version, on_error, fsync
        Likewise; they have no control, and come from a recipe that was loaded.
    output
        Path of an OME-Zarr; None for a result in memory.
    overwrite
        Replace an OME-Zarr that is there.
    """

    model: str
    intensity: str | None = None
    value_range: tuple[float, float] | tuple[tuple[float, float], ...] | None = None
    noise: tuple[float, float, float] | tuple[tuple[float, float, float], ...] | None = None
    dtype: str = "same"
    pyramid: bool = True
    device: str = "auto"
    precision: str | None = None
    tile: int | tuple[int, int] | None = None
    halo: int | None = None
    memory_budget: int | None = None
    img_range: float | None = None
    mean: tuple[float, ...] | None = None
    blend: int | None = None
    padding: str = "reflect"
    ome_version: str = "0.5"
    on_error: str = "raise"
    fsync: bool = False
    output: str | None = None
    overwrite: bool = False

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for `api.plan`, without those that have their default."""
        defaults = Choices(self.model)
        names = {field.name for field in fields(self)} & (Recipe.model_fields.keys() - {"model"})
        chosen = {name: getattr(self, name) for name in _ORDER if name in names}
        return {name: value for name, value in chosen.items() if value != getattr(defaults, name)}


_ORDER = tuple(field.name for field in fields(Choices))


@dataclass(frozen=True)
class Job:
    """Choices for a region of a layer.

    Attributes
    ----------
    layer
        What is restored. Layers belong to the main thread; a worker uses `image`.
    axes
        One letter of TCZYXS per axis of its data.
    region
        Which part of it.
    choices
        How.
    image
        The region as the api takes it.
    """

    layer: ImageLayer
    axes: str
    region: Region
    choices: Choices
    image: Image

    @classmethod
    def of(cls, layer: ImageLayer, axes: str, region: Region, choices: Choices) -> Job:
        """Make a job; for the main thread.

        Raises
        ------
        RestoreError
            If the axes do not fit the layer, or its data cannot be restored.
        """
        return cls(layer, axes, region, choices, layer_image(layer, axes, region))

    def in_memory(self) -> Job:
        """The same job with its result in memory."""
        return replace(self, choices=replace(self.choices, output=None, overwrite=False))

    def plan(self, *, fetch: bool = True) -> Plan:
        """Plan the run; reads a sample of the layer and loads torch."""
        chosen = self.choices
        # What a control shows is given, even if it was not touched: a run that was begun has no say in it.
        shown: dict[str, Any] = {"dtype": chosen.dtype, "pyramid": chosen.pyramid}
        return api.plan(
            self.image,
            model=chosen.model,
            output=chosen.output,
            overwrite=chosen.overwrite,
            fetch=fetch,
            **shown | chosen.settings(),
        )

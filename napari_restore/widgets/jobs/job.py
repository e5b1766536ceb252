"""What a person has chosen, and the job that it makes of a layer."""

from __future__ import annotations

__all__ = ["Choices", "Job", "Task", "in_words"]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from napari_restore import api
from napari_restore.engine.planning.recipe import SOURCE_FIELDS, Recipe, make_recipe
from napari_restore.widgets.jobs.layers import Region, layer_image

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.images.image import Image

Task = Literal["denoise", "super-resolve"]


@dataclass(frozen=True)
class Choices:
    """What a person has chosen.

    Attributes
    ----------
    recipe : Recipe
        Every setting, those without a control too: what is not given is chosen by the plan.
    output : str or None
        Path or URL of an OME-Zarr; None for a result in memory.
    overwrite : bool
        Replace an OME-Zarr that is there.
    """

    recipe: Recipe
    output: str | None = None
    overwrite: bool = False

    @classmethod
    def of(cls, model: str, *, output: str | None = None, overwrite: bool = False, **settings: Any) -> Choices:
        """Make choices of settings by name.

        Raises
        ------
        RecipeError
            If a setting is unknown or out of its allowed values.
        """
        return cls(make_recipe(model=model, **settings), output, overwrite)

    @property
    def model(self) -> str:
        """Name of the model, or path of its checkpoint."""
        return self.recipe.model

    def settings(self) -> dict[str, Any]:
        """Give the settings that are given, in the order of the recipe, as keyword arguments for `api.plan`."""
        given = self.recipe.model_dump(exclude={"model"}, exclude_unset=True, exclude_none=True)
        return {name: value for name, value in given.items() if name not in SOURCE_FIELDS}

    def replaced(self, **settings: Any) -> Choices:
        """Give the same choices with other settings.

        Raises
        ------
        RecipeError
            If a setting is unknown or out of its allowed values.
        """
        given = self.recipe.model_dump(exclude_unset=True)
        return replace(self, recipe=make_recipe(**{**given, **settings}))


def in_words(settings: Mapping[str, Any]) -> str:
    """Write settings in a line.

    Examples
    --------
    >>> in_words({"chunks": (1, 64, 64), "fsync": True, "value_range": ((0.0, 255.0), (0.0, 99.0))})
    'chunks 1,64,64; fsync; value_range 0.0,255.0 and 0.0,99.0'
    """
    return "; ".join(_in_words(name, value) for name, value in settings.items())


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"not {name}"
    if isinstance(value, Mapping):
        return f"{name} {', '.join(_in_words(part, one) for part, one in value.items())}"
    items = value if isinstance(value, tuple) else (value,)
    if items and isinstance(items[0], tuple):
        return f"{name} {' and '.join(','.join(map(str, each)) or 'none' for each in items)}"
    return f"{name} {','.join(map(str, items)) or 'none'}"


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
        return api.plan(
            self.image,
            model=chosen.model,
            output=chosen.output,
            overwrite=chosen.overwrite,
            fetch=fetch,
            **chosen.settings(),
        )

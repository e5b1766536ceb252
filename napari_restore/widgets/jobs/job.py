"""Describe a job: the user's choices, and the layer and region that they are for."""

from __future__ import annotations

__all__ = ["Choices", "Job", "Task", "check_task", "in_words"]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from napari_restore import api
from napari_restore.engine.planning.recipe import SOURCE_FIELDS, Recipe, make_recipe
from napari_restore.errors import ModelError
from napari_restore.widgets.jobs.layers.image_layers import Region, layer_image

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.images.image import Image
    from napari_restore.models.card import ModelCard

Task = Literal["denoise", "super-resolve"]


def check_task(card: ModelCard, task: Task) -> None:
    """Check that a model is for the task of a dock widget.

    Parameters
    ----------
    card : ModelCard
        The model.
    task : str
        ``"denoise"`` or ``"super-resolve"``.

    Raises
    ------
    ModelError
        If a model for Super-resolution keeps the number of pixels, or one for Denoise changes it.
    """
    if task == "super-resolve" and card.scale == 1:
        raise ModelError(
            f"{card.name} keeps the number of pixels (×1), and Super-resolution takes models that increase it; use it "
            "in Denoise, or choose another model."
        )
    if task == "denoise" and card.scale != 1:
        raise ModelError(
            f"{card.name} increases the number of pixels (×{card.scale}), and Denoise takes models that keep it; use "
            "it in Super-resolution, or choose another model."
        )


@dataclass(frozen=True)
class Choices:
    """Settings and output of a run, as the user has chosen them.

    Attributes
    ----------
    recipe : Recipe
        All settings, also those without a control. The plan chooses what is not set.
    output : str or None
        Path or URL of an OME-Zarr; None for a result in memory.
    overwrite : bool
        Whether an existing OME-Zarr is replaced.
    """

    recipe: Recipe
    output: str | None = None
    overwrite: bool = False

    @classmethod
    def of(cls, model: str, *, output: str | None = None, overwrite: bool = False, **settings: Any) -> Choices:
        """Make choices from a model and settings.

        Parameters
        ----------
        model : str
            Name of a model, or path of a checkpoint.
        output, overwrite
            See the attributes.
        **settings
            Fields of the recipe.

        Raises
        ------
        RecipeError
            If a setting is unknown or has a value that is not allowed.
        """
        return cls(make_recipe(model=model, **settings), output, overwrite)

    @property
    def model(self) -> str:
        """Name of the model, or path of its checkpoint."""
        return self.recipe.model

    def card(self) -> ModelCard:
        """Return the card of the model, with the values that the recipe gives for what a checkpoint does not say.

        Raises
        ------
        ModelError
            If the model is unknown, or its checkpoint cannot be read.
        """
        return api.model_card(self.model, img_range=self.recipe.img_range, mean=self.recipe.mean)

    def settings(self) -> dict[str, Any]:
        """Return the settings that are set, in the order of the recipe, as keyword arguments for `api.plan`."""
        given = self.recipe.model_dump(exclude={"model"}, exclude_unset=True, exclude_none=True)
        return {name: value for name, value in given.items() if name not in SOURCE_FIELDS}

    def replaced(self, **settings: Any) -> Choices:
        """Return a copy with other values for some settings.

        Raises
        ------
        RecipeError
            If a setting is unknown or has a value that is not allowed.
        """
        given = self.recipe.model_dump(exclude_unset=True)
        return replace(self, recipe=make_recipe(**{**given, **settings}))


def in_words(settings: Mapping[str, Any]) -> str:
    """Format settings in one line.

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
    """A layer, a region of it, and the choices of a run.

    Attributes
    ----------
    layer : napari.layers.Image
        The source. Layers belong to the main thread; worker threads use `image`.
    axes : str
        One letter of TCZYXS for each axis of the layer's data.
    region : tuple of slice
        One slice for each axis.
    choices : Choices
        Settings and output.
    image : Image
        The region as an image, not read yet.
    task : str or None
        The task that the model has to be for; None: any.
    """

    layer: ImageLayer
    axes: str
    region: Region
    choices: Choices
    image: Image
    task: Task | None = None

    @classmethod
    def of(cls, layer: ImageLayer, axes: str, region: Region, choices: Choices, task: Task | None = None) -> Job:
        """Make a job. Call this on the main thread.

        Parameters
        ----------
        layer, axes, region, choices, task
            See the attributes.

        Raises
        ------
        RestoreError
            If the axes do not fit the layer, or its data cannot be restored.
        """
        return cls(layer, axes, region, choices, layer_image(layer, axes, region), task)

    def in_memory(self) -> Job:
        """Return the same job with its result in memory."""
        return replace(self, choices=replace(self.choices, output=None, overwrite=False))

    def plan(self, *, fetch: bool = True) -> Plan:
        """Plan the run. This reads a sample of the layer and imports torch.

        Parameters
        ----------
        fetch : bool
            Whether missing weights are downloaded.

        Raises
        ------
        RestoreError
            See `api.plan` and `check_task`.
        """
        chosen = self.choices
        if self.task is not None:
            check_task(chosen.card(), self.task)
        return api.plan(
            self.image,
            model=chosen.model,
            output=chosen.output,
            overwrite=chosen.overwrite,
            fetch=fetch,
            **chosen.settings(),
        )

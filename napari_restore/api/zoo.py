"""List models, describe them, fetch and convert their weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_restore.api.boundary import bounded
from napari_restore.api.settings import UPSCALERS
from napari_restore.errors import ModelError, RecipeError

if TYPE_CHECKING:
    from napari_restore.engine.compute.estimate import Report
    from napari_restore.engine.planning.choices.models import Recommendation
    from napari_restore.models.card import ModelCard

__all__ = [
    "convert_model",
    "devices",
    "fetch",
    "model_card",
    "models",
    "recommend",
    "upscaler",
    "weights_size",
    "weights_state",
]


@bounded("listing models")
def models() -> tuple[ModelCard, ...]:
    """Return the cards of all models that have a name: bundled models, then those that are fetched on first use.

    Returns
    -------
    tuple of ModelCard
        One card for each model.
    """
    from napari_restore.models.zoo import all_cards

    return all_cards()


@bounded("recommending models for")
def recommend(report: Report) -> tuple[Recommendation, ...]:
    """Order the models of a task by how they suit an image: its channels and its noise.

    Parameters
    ----------
    report : Report
        What `inspect` or `report` has returned for the image and any model of the task.

    Returns
    -------
    tuple of Recommendation
        Best first, each with its `card`, the `reason` in words, and whether it `fits`.
    """
    from napari_restore.engine.planning.choices import models

    return models.recommend(report.plan, report.noise)


@bounded("fetching", ModelError)
def fetch(model: str | Path, progress: Callable[[int, int | None], None] | None = None) -> ModelCard:
    """Fetch the weights of a model if they are not on this machine; a run does this by itself.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint.
    progress : callable or None
        Called with the bytes that have arrived and the bytes in total (None if unknown) while a published file is
        downloaded.

    Returns
    -------
    ModelCard
        Card of the model with the SHA-256 of its file. The licence of a published file is logged before the download.

    Raises
    ------
    ModelError
        If the file cannot be fetched or is not the right one; the message says where to put it by hand.
    """
    from napari_restore.models.zoo import find_card, local_card

    return local_card(find_card(model), progress)


@bounded("reading model", ModelError)
def model_card(
    model: str | Path, *, img_range: float | None = None, mean: tuple[float, ...] | None = None
) -> ModelCard:
    """Return the card of a model; print its `description()`.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint, whose hyper-parameters are inferred.
    img_range : float or None
        Factor on the input of a SwinIR checkpoint given by path. If None, from its metadata, or as published.
    mean : tuple of float, or None
        Values that a SwinIR checkpoint given by path subtracts from its input channels, in the range 0 to 1. If None,
        from its metadata, or as published.

    Returns
    -------
    ModelCard
        What the model is: network, task, channels, scale, tiling, licence.

    Raises
    ------
    ModelError
        If there is no such model, or the file cannot be read.
    """
    from napari_restore.models.zoo import find_card

    return find_card(model, img_range=img_range, mean=mean)


@bounded("converting", ModelError)
def convert_model(
    model: str | Path,
    target: str | Path,
    *,
    half: bool = False,
    img_range: float | None = None,
    mean: tuple[float, ...] | None = None,
) -> ModelCard:
    """Write the weights of a model to a ``.safetensors`` file, with the hyper-parameters in its metadata.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint.
    target : str or Path
        File to write.
    half : bool
        Store the weights in float16.
    img_range : float or None
        Factor on the input of a SwinIR checkpoint given by path. If None, from its metadata, or as published.
    mean : tuple of float, or None
        Values that a SwinIR checkpoint given by path subtracts from its input channels, in the range 0 to 1. If None,
        from its metadata, or as published.

    Returns
    -------
    ModelCard
        Card of the new file.

    Raises
    ------
    ModelError
        If the model cannot be read, or the target cannot be written.
    """
    from napari_restore.models import zoo

    return zoo.convert(model, Path(target), half=half, img_range=img_range, mean=mean)


@bounded("choosing a model for scale")
def upscaler(scale: int, model: str | Path | None = None) -> str | Path:
    """Return the bundled model of a scale, or check that a given model has this scale.

    Parameters
    ----------
    scale : int
        Factor of the number of pixels along Y and X.
    model : str, Path or None
        Name of a model, or path of a checkpoint. If None, the bundled model of the scale (`UPSCALERS`).

    Returns
    -------
    str or Path
        The model.

    Raises
    ------
    RecipeError
        If no bundled model has this scale, or `model` has another one.
    ModelError
        If there is no such model.
    """
    from napari_restore.models.zoo import find_card

    if model is None and scale not in UPSCALERS:
        published = ", ".join(card.name for card in models() if card.scale == scale)
        raise RecipeError(
            f"no bundled model upscales by {scale}; use scale {' or '.join(map(str, UPSCALERS))}, or give model= the "
            f"name of a published model of that scale ({published or 'there is none'}) or a checkpoint."
        )
    chosen = UPSCALERS[scale] if model is None else model
    if find_card(chosen).scale != scale:
        raise RecipeError(f"{model} upscales by {find_card(chosen).scale}, not by {scale}; change scale or model.")
    return chosen


def devices() -> tuple[str, ...]:
    """Return the devices of this machine that can run a network. This loads torch.

    Returns
    -------
    tuple of str
        Names of the devices, such as ``("cpu", "cuda:0")``.
    """
    from napari_restore.engine.hardware.devices import devices

    return tuple(map(str, devices()))


def weights_size(card: ModelCard) -> int:
    """Return the size of the weights of a model.

    Parameters
    ----------
    card : ModelCard
        Card of the model.

    Returns
    -------
    int
        Bytes; four for each parameter if the weights are not on this machine.
    """
    from napari_restore.models import zoo

    return zoo.weights_size(card)


def weights_state(card: ModelCard) -> str:
    """Return whether weights are bundled, downloaded, missing or not yet downloaded, and how they are checked.

    Parameters
    ----------
    card : ModelCard
        Card of the model.

    Returns
    -------
    str
        One line.
    """
    from napari_restore.models import zoo

    return zoo.weights_state(card)

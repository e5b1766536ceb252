"""Which models there are, what they are, and how to get them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_restore.api.boundary import bounded
from napari_restore.api.settings import UPSCALERS
from napari_restore.errors import ModelError, RecipeError

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard

__all__ = ["convert_model", "devices", "fetch", "model_card", "models", "upscaler", "weights_size", "weights_state"]


@bounded("listing models")
def models() -> tuple[ModelCard, ...]:
    """Give the cards of the models that can be named: the bundled ones, then those that are fetched on first use."""
    from napari_restore.models.zoo import all_cards

    return all_cards()


@bounded("fetching", ModelError)
def fetch(model: str | Path, progress: Callable[[int, int | None], None] | None = None) -> ModelCard:
    """Make sure that the weights of a model are on this machine; all functions here do so by themselves.

    Parameters
    ----------
    model
        Name of a model, or path of a checkpoint.
    progress
        Called with the bytes that have arrived and those in all, while a published file is downloaded.

    Returns
    -------
    ModelCard
        With the SHA-256 of the file. The licence of a published file is logged before it is asked for.

    Raises
    ------
    ModelError
        If the file cannot be had or is not the right one; the message says where to put it by hand.
    """
    from napari_restore.models.zoo import find_card, local_card

    return local_card(find_card(model), progress)


@bounded("reading model", ModelError)
def model_card(
    model: str | Path, *, img_range: float | None = None, mean: tuple[float, ...] | None = None
) -> ModelCard:
    """Say what a model is: print its `description()`.

    Parameters
    ----------
    model
        Name of a model, or path of a checkpoint, whose hyper-parameters are inferred.
    img_range, mean
        See `Settings`.

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
    """Write a model's weights alone as a ``.safetensors`` file: see `napari_restore.models.zoo.convert`.

    Raises
    ------
    ModelError
        If the model cannot be read, or the target cannot be written.
    """
    from napari_restore.models import zoo

    return zoo.convert(model, Path(target), half=half, img_range=img_range, mean=mean)


@bounded("choosing a model for scale")
def upscaler(scale: int, model: str | Path | None = None) -> str | Path:
    """Give the bundled model of a scale, or check that the model given has it.

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
    """Names of the devices of this machine that a network can run on: ``("cpu", "cuda:0")``. Loads torch."""
    from napari_restore.engine.hardware.devices import devices

    return tuple(map(str, devices()))


def weights_size(card: ModelCard) -> int:
    """Bytes of a model's weights; for one that is not on this machine, four for each parameter."""
    from napari_restore.models import zoo

    return zoo.weights_size(card)


def weights_state(card: ModelCard) -> str:
    """Say whether weights are bundled, downloaded, missing or yet to be downloaded, and how their identity is known."""
    from napari_restore.models import zoo

    return zoo.weights_state(card)

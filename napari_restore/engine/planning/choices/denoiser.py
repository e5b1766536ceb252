"""Choose the denoiser that runs before a model that super-resolves."""

from __future__ import annotations

from dataclasses import dataclass

from napari_restore.engine.planning.normalisation import Intensity, choose_intensity
from napari_restore.engine.planning.reading import with_retries
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.planning.sampling import estimate_image_noise
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.errors import RecipeError
from napari_restore.images.image import Image
from napari_restore.models.card import ModelCard
from napari_restore.models.chain import denoised_first
from napari_restore.models.defaults import DENOISER
from napari_restore.models.zoo import find_card
from napari_restore.ways_out import WayOut

__all__ = ["ChosenDenoiser", "choose_denoiser"]

_DENOISERS = {1: DENOISER, 3: "restormer-denoise-rgb-light"}
"""Bundled denoisers, by number of channels."""


@dataclass(frozen=True)
class ChosenDenoiser:
    """A denoiser that runs before the model, or none.

    Attributes
    ----------
    name : str
        Name or path of the denoiser; ``"none"`` for none.
    card : ModelCard
        Card of the run's network: the model alone, or both networks.
    why : str
        Reason of an automatic choice, for a plan.
    """

    name: str
    card: ModelCard
    why: str = ""


def choose_denoiser(image: Image, card: ModelCard, recipe: Recipe, values: Intensity) -> ChosenDenoiser:
    """Choose the denoiser of a run by the recipe, or by the noise of the image for ``"auto"``.

    Parameters
    ----------
    image : Image
        The source.
    card : ModelCard
        The model.
    recipe : Recipe
        Settings.
    values : Intensity
        The chosen normalisation, with its noise estimates. Without them, ``"auto"`` reads a sample.

    Returns
    -------
    ChosenDenoiser
        The denoiser, and the card of the network.

    Raises
    ------
    RecipeError
        If the model does not super-resolve.
    ModelError
        If the denoiser does not fit the model.
    """
    if recipe.denoise == "none":
        return ChosenDenoiser("none", card)
    if card.scale == 1:
        raise RecipeError(
            f"{card.name} does not super-resolve, so nothing can be denoised before it ({recipe.denoise!r})",
            WayOut(
                "leave out denoise, or choose another model.",
                "leave out --denoise, or choose another model.",
                "choose another model, or drop that setting of the recipe.",
            ),
        )
    if recipe.padding == "authors":
        raise RecipeError(
            "the authors' padding compares one network with its authors' figures, without a denoiser before it",
            WayOut("use denoise='none'.", "use --denoise none.", "choose no denoiser."),
        )
    if recipe.denoise != "auto":
        return ChosenDenoiser(recipe.denoise, denoised_first(find_card(recipe.denoise), card))
    if card.largest_tile:
        return ChosenDenoiser("none", card, f"as {card.name} takes no larger tiles than {card.largest_tile} pixels")
    if card.in_channels not in _DENOISERS:
        raise RecipeError(
            f"no bundled denoiser has {card.in_channels} channels, as {card.name} has; name one instead of 'auto'."
        )
    noise = _noise(image, card, recipe, values)
    if noise is None:
        return ChosenDenoiser("none", card, "as no noise can be estimated from this image")
    name, share = _DENOISERS[card.in_channels], f"the noise is {100 * noise:.2g} % of the value range"
    first = find_card(name)
    # Below the noise that it was trained for, a denoiser removes more structure than noise (docs/quality.md).
    least = first.noise_levels[0] if first.noise_levels else 0.0
    if noise < least:
        return ChosenDenoiser("none", card, f"as {share}, and denoising first helps from {100 * least:.2g} %")
    return ChosenDenoiser(name, denoised_first(first, card), f"as {share}")


def _noise(image: Image, card: ModelCard, recipe: Recipe, values: Intensity) -> float | None:
    """Return the noise of the noisiest channel as a share of its value range; None if it cannot be estimated."""
    ranges = values.settings["value_range"]
    if ranges is None:
        values = choose_intensity(image, card, recipe)
        ranges = values.settings["value_range"]
    estimates = values.noise or estimate_image_noise(
        with_retries(image, "raise", ()), skip_damaged=recipe.on_error == "fill"
    )
    each = zip(estimates, broadcast(ranges, len(estimates)), strict=True)
    return max((found.sigma_median / (high - low) for found, (low, high) in each if found is not None), default=None)

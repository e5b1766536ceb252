"""Choose the normalisation of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_restore.engine.planning.reading import with_retries
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.planning.sampling import Sampled, sample_channels
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.errors import RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.intensity.bulk import valid_range
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.scaling import ValueRange
from napari_restore.intensity.stabilise import CameraNoise, NoiseScale
from napari_restore.intensity.validity import REACH, Validity
from napari_restore.models.card import ModelCard
from napari_restore.ways_out import WayOut

__all__ = ["Intensity", "Scale", "choose_intensity", "missing_in_words", "needs_sample", "scales_of", "validity_of"]

Scale = ValueRange | NoiseScale
"""A normalisation: converts data units to values for the network, and back."""


@dataclass(frozen=True)
class Intensity:
    """The chosen normalisation of a run, and the estimates that it is based on.

    Attributes
    ----------
    settings : dict of str to Any
        Chosen values of the recipe's fields, by name.
    why : str
        Share of missing pixels in the sample, in words; empty if there are none.
    noise : tuple of (NoiseEstimate or None)
        Estimate of each channel; None if the sample does not allow one. Empty if no sample was read.
    """

    settings: dict[str, Any]
    why: str = ""
    noise: tuple[NoiseEstimate | None, ...] = ()


def choose_intensity(image: Image, card: ModelCard, recipe: Recipe, *, estimate: bool = True) -> Intensity:
    """Choose `intensity`, `value_range`, `noise`, `valid_range`, `fill_values` and `missing_values` of a recipe.

    By default, values are normalised by the noise for a denoiser of one noise level (a published one for σ 15, 25 or
    50), as the level of photon noise depends on the signal. They are normalised by the value range for all other
    models: the bundled blind denoisers were trained on photon noise, and stabilising it does not improve their results
    (docs/intensity.md).

    Parameters
    ----------
    image : Image
        The source.
    card : ModelCard
        The model.
    recipe : Recipe
        Settings; fields that are set are kept.
    estimate : bool
        Whether to read a sample of the image. Otherwise, fields that need an estimate stay open.

    Returns
    -------
    Intensity
        The chosen fields, and the estimates.

    Raises
    ------
    RecipeError
        If settings contradict each other, or do not fit the image's channels.
    SourceError
        If `intensity` is ``"poisson-gaussian"`` and the noise cannot be estimated from the image.
    """
    _check(image, recipe)
    kind, asked = _kind(card, recipe), recipe.intensity is not None
    ranges, noise, (valid, fill) = recipe.value_range, recipe.noise, _missing(recipe)
    missing = recipe.missing_values
    if missing is None:
        missing = (image.missing_values,) if image.missing_values else ()
    sampled: tuple[Sampled, ...] = ()
    if estimate:
        if needs_sample(card, recipe):
            # The sample is read with retries as well; with on_error="fill", damaged chunks are left out of it.
            source, skip = with_retries(image, "raise", ()), recipe.on_error == "fill"
            sampled = sample_channels(source, fill, missing, skip_damaged=skip)
            fill = tuple(channel.fill for channel in sampled) if fill is None else fill
            if ranges is None:
                ranges = tuple((channel.range.low, channel.range.high) for channel in sampled)
            if valid is None:
                valid = _valid_ranges(ranges, sampled)
        if kind == "poisson-gaussian" and noise is None:
            noise = _cameras(sampled)
            if noise is None and asked:
                raise SourceError(
                    f"the noise of {image.name} cannot be estimated: it is too small, has none, or too many pixels "
                    "are at its lowest or highest value (clipped, or counts of few photons)",
                    WayOut(
                        "give it as noise=(gain, offset, read noise) in data units, or use intensity='percentile'.",
                        "give gain, offset and read noise with --noise, or use --intensity percentile.",
                        "type gain, offset and read noise, or choose another Intensity.",
                    ),
                )
            kind = kind if noise is not None else "percentile"
    chosen = {
        "value_range": ranges,
        "noise": noise,
        "valid_range": valid,
        "fill_values": fill,
        "missing_values": missing,
    }
    return Intensity(
        chosen | {"intensity": kind if estimate else recipe.intensity},
        _why(sampled),
        tuple(channel.noise for channel in sampled),
    )


def needs_sample(card: ModelCard, recipe: Recipe) -> bool:
    """Return whether `choose_intensity` reads a sample of the image, as a field that it estimates is open.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    recipe : Recipe
        Settings.
    """
    stabilised = _kind(card, recipe) == "poisson-gaussian"
    return None in (recipe.value_range, *_missing(recipe)) or (stabilised and recipe.noise is None)


def _kind(card: ModelCard, recipe: Recipe) -> str:
    """Return the normalisation that is given, or else the one for the model and the given values."""
    if recipe.intensity is not None:
        return recipe.intensity
    fixed = card.task == "denoise" and card.sigma is not None and recipe.value_range is None
    if fixed or recipe.noise is not None:
        return "poisson-gaussian"
    return "percentile" if recipe.value_range is None else "range"


def _missing(
    recipe: Recipe,
) -> tuple[tuple[tuple[float, float], ...] | None, tuple[tuple[float, ...], ...] | None]:
    """Return valid range and fill values; None if open, and empty where they are open and cannot be used."""
    # Whether a pixel is missing depends on the pixels around it, which a tile without a halo does not have.
    if recipe.halo is not None and recipe.halo < REACH:
        return recipe.valid_range or (), recipe.fill_values or ()
    return recipe.valid_range, recipe.fill_values


def _why(sampled: Sequence[Sampled]) -> str:
    """Return the largest share of missing pixels among the channels of the sample, in words."""
    most = max((channel.filled for channel in sampled), default=0.0)
    return f"{100 * most:.2g} % of the sample" if most else ""


def _check(image: Image, recipe: Recipe) -> None:
    channels = image.sizes.get("C", 1)
    for name, what, given in (
        ("value_range", "pairs", recipe.value_range),
        ("noise", "cameras", recipe.noise),
        ("valid_range", "pairs", recipe.valid_range),
        ("fill_values", "lists", recipe.fill_values),
        ("missing_values", "lists", recipe.missing_values),
    ):
        if given and len(given) not in (1, channels):
            raise RecipeError(
                f"{name} has {len(given)} {what}, but the image has {channels} channels; give one for all channels "
                "or one per channel."
            )
    if recipe.intensity == "range" and recipe.value_range is None:
        raise RecipeError(
            "the intensity 'range' needs the value range",
            WayOut(
                "give value_range=(low, high), or use 'percentile'.",
                "give --range, or use percentile.",
                "type both ends in Range, or choose another Intensity.",
            ),
        )
    if recipe.noise is not None and recipe.intensity in ("range", "percentile"):
        raise RecipeError(
            f"the intensity {recipe.intensity!r} does not use the noise of a camera",
            WayOut(
                "leave out intensity= or noise=, or use 'poisson-gaussian'.",
                "leave out --intensity or --noise, or use poisson-gaussian.",
                "choose the Intensity auto or Camera noise.",
            ),
        )


def _valid_ranges(
    ranges: tuple[tuple[float, float], ...], sampled: Sequence[Sampled]
) -> tuple[tuple[float, float], ...]:
    each = zip(broadcast(ranges, len(sampled)), sampled, strict=True)
    return tuple(valid_range(ValueRange(*pair), channel.noise) for pair, channel in each)


def _cameras(sampled: Sequence[Sampled]) -> tuple[tuple[float, float, float], ...] | None:
    """Return the estimated gain, offset and read noise of each channel; None if a channel has no estimate."""
    found = []
    for channel in sampled:
        camera = CameraNoise.from_estimate(channel.noise) if channel.noise is not None else None
        if camera is None:
            return None
        found.append((camera.gain, camera.offset, camera.read_noise))
    return tuple(found)


def validity_of(recipe: Recipe) -> tuple[Validity, ...]:
    """Return the rule for missing pixels, one for all channels or one per channel, of a recipe with chosen values."""
    valid, fill = recipe.valid_range or ((-math.inf, math.inf),), recipe.fill_values or ((),)
    exact = recipe.missing_values or ((),)
    count = max(map(len, (valid, fill, exact)))
    each = zip(broadcast(valid, count), broadcast(fill, count), broadcast(exact, count), strict=True)
    return tuple(Validity(*pair, values, single) for pair, values, single in each)


def missing_in_words(recipe: Recipe) -> str:
    """Describe which pixels are missing, and their values in the result; an empty text if there are none."""
    if recipe.valid_range is None or recipe.fill_values is None:
        return "estimated at the first computation"
    exact, fill = (
        ", ".join(f"{number:g}" for number in dict.fromkeys(value for values in lists or () for value in values))
        for lists in (recipe.missing_values, recipe.fill_values)
    )
    pairs = ", ".join(f"{low:g}..{high:g}" for low, high in recipe.valid_range)
    parts = (
        f"pixels of the value {exact}, unchanged in the result" if exact else "",
        f"fill {fill}, unchanged in the result" if fill else "",
        f"single pixels outside {pairs}, unchanged; areas outside are restored with a range of their own"
        if pairs
        else "",
    )
    return "; ".join(part for part in parts if part)


def scales_of(recipe: Recipe, card: ModelCard) -> tuple[Scale, ...]:
    """Return the normalisation, one for all channels or one per channel, of a recipe with chosen values.

    If values are normalised by the noise, the lower end of the value range becomes 0, and the noise gets the standard
    deviation that the model was trained for. If the model was trained for several noise levels, the upper end of the
    value range becomes 1 instead. If neighbouring planes are averaged, the noise that is typically left is used.
    """
    ranges = recipe.value_range or ()
    if recipe.intensity != "poisson-gaussian" or recipe.noise is None:
        return tuple(ValueRange(*pair) for pair in ranges)
    count = max(len(ranges), len(recipe.noise))
    left = recipe.neighbours.left if recipe.neighbours and recipe.neighbours.left else (1.0,)
    count = max(count, len(left))
    each = zip(broadcast(recipe.noise, count), broadcast(ranges, count), broadcast(left, count), strict=True)
    return tuple(
        _noise_scale(CameraNoise(*camera), *pair, card.sigma and card.sigma / share) for camera, pair, share in each
    )


def _noise_scale(camera: CameraNoise, low: float, high: float, sigma: float | None) -> NoiseScale:
    span = float(camera.stabilise(high) - camera.stabilise(low))
    return NoiseScale(camera, low, sigma if sigma is not None else 1 / span)

"""How a run brings values to what its network was trained on: chosen when it is planned, stored in its recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_restore.engine.planning.reading import patient
from napari_restore.engine.planning.recipe import Recipe, for_each
from napari_restore.engine.planning.sampling import Sampled, sample_channels
from napari_restore.errors import RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.scaling import ValueRange
from napari_restore.intensity.stabilise import CameraNoise, NoiseScale
from napari_restore.intensity.validity import REACH, Validity, valid_range
from napari_restore.models.card import ModelCard

__all__ = ["Intensity", "Scale", "choose_intensity", "scales_of", "validity_of"]

Scale = ValueRange | NoiseScale
"""Brings values in data units to the network's and back."""


@dataclass(frozen=True)
class Intensity:
    """The fields of a recipe that are about values, chosen, and what the image showed for that.

    Attributes
    ----------
    settings
        Fields by name.
    why
        How much of the sample is no image; empty where all is.
    noise
        Estimate of each channel, None where the sample shows too little to tell; empty where no sample was needed.
    """

    settings: dict[str, Any]
    why: str = ""
    noise: tuple[NoiseEstimate | None, ...] = ()


def choose_intensity(image: Image, card: ModelCard, recipe: Recipe, *, estimate: bool = True) -> Intensity:
    """Choose the fields of a recipe that are about values: `intensity`, `value_range`, `noise`, and what is no image.

    By default that is the noise for a denoiser that knows one level of noise (a published one for σ 15, 25 or 50), as
    photon noise is not of one level, and the range of the values for all others: the bundled blind denoisers were
    trained on photon noise as it is, and stabilising it does not help them (docs/intensity.md).

    Parameters
    ----------
    image, card
        Source and model.
    recipe
        Settings; what is given there stays.
    estimate
        Read an even sample of the image; without it, what has to be estimated stays open.

    Raises
    ------
    RecipeError
        If the settings contradict each other, or do not fit the image's channels.
    SourceError
        If the noise is asked for and cannot be told from the image.
    """
    _check(image, recipe)
    kind, asked = recipe.intensity, recipe.intensity is not None
    if kind is None:
        fixed = card.task == "denoise" and card.sigma is not None and recipe.value_range is None
        noisy = fixed or recipe.noise is not None
        kind = "poisson-gaussian" if noisy else "percentile" if recipe.value_range is None else "range"
    ranges, noise, valid, fill = recipe.value_range, recipe.noise, recipe.valid_range, recipe.fill_values
    # Pixels beside a pixel decide whether it is image: without a halo, not all of them are there.
    if recipe.halo is not None and recipe.halo < REACH:
        valid, fill = valid or (), fill or ()
    sampled: tuple[Sampled, ...] = ()
    needed = ranges is None or valid is None or fill is None or (kind == "poisson-gaussian" and noise is None)
    if estimate:
        if needed:
            # A disk that fails for a moment is asked again here too; a damaged chunk is not part of the sample.
            source, skip = patient(image, "raise", ()), recipe.on_error == "fill"
            sampled = sample_channels(source, fill, skip_damaged=skip)
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
                    "are at its lowest or highest value (clipped, or counts of few photons); give it as "
                    "noise=(gain, offset, read noise) in data units, or use intensity='percentile'."
                )
            kind = kind if noise is not None else "percentile"
    chosen = {"value_range": ranges, "noise": noise, "valid_range": valid, "fill_values": fill}
    return Intensity(
        chosen | {"intensity": kind if estimate else recipe.intensity},
        _why(sampled),
        tuple(channel.noise for channel in sampled),
    )


def _why(sampled: Sequence[Sampled]) -> str:
    """Say how much of the sample is fill, where the most is."""
    most = max((channel.filled for channel in sampled), default=0.0)
    return f"{100 * most:.2g} % of the sample" if most else ""


def _check(image: Image, recipe: Recipe) -> None:
    channels = image.sizes.get("C", 1)
    for name, what, given in (
        ("value_range", "pairs", recipe.value_range),
        ("noise", "cameras", recipe.noise),
        ("valid_range", "pairs", recipe.valid_range),
        ("fill_values", "lists", recipe.fill_values),
    ):
        if given and len(given) not in (1, channels):
            raise RecipeError(
                f"{name} has {len(given)} {what}, but the image has {channels} channels; give one for all or one for "
                "each."
            )
    if recipe.intensity == "range" and recipe.value_range is None:
        raise RecipeError("intensity='range' needs the range: give value_range=(low, high), or use 'percentile'.")
    if recipe.noise is not None and recipe.intensity in ("range", "percentile"):
        raise RecipeError(
            f"intensity={recipe.intensity!r} makes no use of noise=; leave one out, or use 'poisson-gaussian'."
        )


def _valid_ranges(
    ranges: tuple[tuple[float, float], ...], sampled: Sequence[Sampled]
) -> tuple[tuple[float, float], ...]:
    each = zip(for_each(ranges, len(sampled)), sampled, strict=True)
    return tuple(valid_range(ValueRange(*pair), channel.noise) for pair, channel in each)


def _cameras(sampled: Sequence[Sampled]) -> tuple[tuple[float, float, float], ...] | None:
    """Gain, offset and read noise of each channel as estimated; None if that failed for one."""
    found = []
    for channel in sampled:
        camera = CameraNoise.from_estimate(channel.noise) if channel.noise is not None else None
        if camera is None:
            return None
        found.append((camera.gain, camera.offset, camera.read_noise))
    return tuple(found)


def validity_of(recipe: Recipe) -> tuple[Validity, ...]:
    """Say which pixels are image, for each channel, or for all, by a recipe whose values are chosen."""
    valid, fill = recipe.valid_range or ((-math.inf, math.inf),), recipe.fill_values or ((),)
    count = max(len(valid), len(fill))
    return tuple(
        Validity(*pair, values) for pair, values in zip(for_each(valid, count), for_each(fill, count), strict=True)
    )


def scales_of(recipe: Recipe, card: ModelCard) -> tuple[Scale, ...]:
    """Give the scale of each channel, or one for all, of a recipe whose intensity is chosen.

    With the noise, the lower end of the value range becomes 0, and the noise gets the standard deviation that the model
    was trained for; if that is no single one, the upper end becomes 1. Where neighbouring planes are averaged, that is
    the noise which is left of it, typically.
    """
    ranges = recipe.value_range or ()
    if recipe.intensity != "poisson-gaussian" or recipe.noise is None:
        return tuple(ValueRange(*pair) for pair in ranges)
    count = max(len(ranges), len(recipe.noise))
    left = recipe.neighbours.left if recipe.neighbours and recipe.neighbours.left else (1.0,)
    count = max(count, len(left))
    each = zip(for_each(recipe.noise, count), for_each(ranges, count), for_each(left, count), strict=True)
    return tuple(
        _noise_scale(CameraNoise(*camera), *pair, card.sigma and card.sigma / share) for camera, pair, share in each
    )


def _noise_scale(camera: CameraNoise, low: float, high: float, sigma: float | None) -> NoiseScale:
    span = float(camera.stabilise(high) - camera.stabilise(low))
    return NoiseScale(camera, low, sigma if sigma is not None else 1 / span)

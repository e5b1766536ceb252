"""How a run brings values to what its network was trained on: chosen when it is planned, stored in its recipe."""

from __future__ import annotations

from typing import Any

from napari_restore.engine.planning.reading import patient
from napari_restore.engine.planning.recipe import Recipe, for_each
from napari_restore.engine.planning.sampling import estimate_image_noise, estimate_ranges
from napari_restore.errors import RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.intensity.scaling import ValueRange
from napari_restore.intensity.stabilise import CameraNoise, NoiseScale
from napari_restore.models.card import ModelCard

__all__ = ["Scale", "choose_intensity", "scales_of"]

Scale = ValueRange | NoiseScale
"""Brings values in data units to the network's and back."""


def choose_intensity(image: Image, card: ModelCard, recipe: Recipe, *, estimate: bool = True) -> dict[str, Any]:
    """Choose the intensity fields of a recipe: `intensity`, `value_range` and `noise`.

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
    ranges, noise = recipe.value_range, recipe.noise
    if estimate:
        # A disk that fails for a moment is asked again here too; a chunk that is damaged is not part of the sample.
        source, skip = patient(image, "raise", ()), recipe.on_error == "fill"
        if ranges is None:
            ranges = estimate_ranges(source, skip_damaged=skip)
        if kind == "poisson-gaussian" and noise is None:
            noise = _estimated_noise(source, skip)
            if noise is None and asked:
                raise SourceError(
                    f"the noise of {image.name} cannot be estimated: it is too small, has none, or too many pixels "
                    "are at its lowest or highest value (clipped, or counts of few photons); give it as "
                    "noise=(gain, offset, read noise) in data units, or use intensity='percentile'."
                )
            kind = kind if noise is not None else "percentile"
        return {"intensity": kind, "value_range": ranges, "noise": noise}
    return {"intensity": recipe.intensity, "value_range": ranges, "noise": noise}


def _check(image: Image, recipe: Recipe) -> None:
    channels = image.sizes.get("C", 1)
    for name, what, given in (("value_range", "pairs", recipe.value_range), ("noise", "cameras", recipe.noise)):
        if given is not None and len(given) not in (1, channels):
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


def _estimated_noise(image: Image, skip_damaged: bool) -> tuple[tuple[float, float, float], ...] | None:
    """Estimate gain, offset and read noise of each channel; None if that fails for one."""
    found = []
    for estimate in estimate_image_noise(image, skip_damaged=skip_damaged):
        camera = CameraNoise.from_estimate(estimate) if estimate is not None else None
        if camera is None:
            return None
        found.append((camera.gain, camera.offset, camera.read_noise))
    return tuple(found)


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

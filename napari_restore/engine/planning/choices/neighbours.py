"""Choose the neighbours that are averaged into each plane, from crops of a few planes and their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.planning.normalisation import Intensity, scales_of, validity_of
from napari_restore.engine.planning.reading import with_retries
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.planning.sampling import estimate_image_noise, spread_regions
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.engine.planning.settings.neighbours import NONE, Neighbours
from napari_restore.errors import ChunkError, RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.intensity.fusion import Fused, FusionNoise, Missing, Neighbour, fuse
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.plane_pairs import calibrated, compare, summarise
from napari_restore.intensity.stabilise import CameraNoise
from napari_restore.models.card import ModelCard
from napari_restore.ways_out import WayOut

__all__ = ["Chosen", "choose_neighbours", "fusion_noises"]

_CROPS = 4
"""Number of planes of each channel from which a crop is read."""
_CROP = 192
"""Height and width of a crop in pixels, at most."""
_WORTH = 0.75
"""Average number of agreeing neighbours from which an axis is chosen automatically, or half of those that there are.
Fewer agree by chance: measured, 0.4 to 0.7 in stacks of fast motion, which change by -0.5 to +0.2 dB with them, and 2
or more in all others."""


@dataclass(frozen=True)
class Chosen:
    """Neighbours with all fields chosen, and the reason that a plan shows."""

    neighbours: Neighbours | None
    why: str


def fusion_noises(neighbours: Neighbours) -> tuple[FusionNoise, ...]:
    """Return the noise of each channel.

    Parameters
    ----------
    neighbours : Neighbours
        With all fields chosen.

    Returns
    -------
    tuple of FusionNoise
        One for each channel, or one for all; empty if none is estimated.
    """
    return tuple(FusionNoise(CameraNoise(*noise[:3]), (noise[3], noise[4])) for noise in neighbours.noise or ())


def choose_neighbours(image: Image, card: ModelCard, recipe: Recipe, values: Intensity) -> Chosen:
    """Choose the axes of the neighbours, their noise, and the noise that is left after averaging.

    By default, a denoiser averages neighbours along each axis where the planes of the sample agree.

    Parameters
    ----------
    image : Image
        The source.
    card : ModelCard
        The model.
    recipe : Recipe
        Settings; fields that are set are kept.
    values : Intensity
        The chosen normalisation, with the noise that was estimated for it.

    Returns
    -------
    Chosen
        The neighbours and the reason.

    Raises
    ------
    RecipeError
        If the recipe names an axis that the image does not have.
    SourceError
        If the recipe names an axis, and the noise cannot be estimated from the image.
    """
    asked = recipe.neighbours or Neighbours()
    available = "".join(axis for axis in "TZ" if image.sizes.get(axis, 1) > 1)
    automatic = asked.axis == "auto"
    if asked.axis == "none":
        return Chosen(NONE, "")
    if not automatic and asked.noise and asked.left:
        return Chosen(asked, f"noise falls to {np.mean(asked.left):.2f}")
    if automatic and not available:
        return Chosen(NONE, "")
    if automatic and (reason := _reason_for_none(card, recipe)):
        return Chosen(NONE, f"{reason}; name an axis to use them")
    if not automatic and (lacking := [axis for axis in asked.axis if axis not in image.sizes]):
        others = f"{available} or none" if available else "none"
        raise RecipeError(
            f"neighbours along {asked.axis}: the image has no axis {lacking[0]} (its axes are {image.axes})",
            WayOut(f"use {others}.", f"use {others}.", f"choose {others} in Neighbours."),
        )
    axes = "".join(axis for axis in (available if automatic else asked.axis) if axis in available)
    source, skip = with_retries(image, "raise", ()), recipe.on_error == "fill"
    sample = [_read(source, asked, axes, channel, skip) for channel in range(image.sizes.get("C", 1))]
    estimates = values.noise or estimate_image_noise(source, skip_damaged=skip)
    missing = _rules(recipe.model_copy(update=values.settings), card, len(sample))
    noise = asked.noise or _noise(estimates, recipe, sample, missing)
    if noise is None:
        if automatic:
            return Chosen(NONE, "as the noise cannot be estimated from this image")
        raise SourceError(
            f"the noise of {image.name} cannot be estimated, and is needed to compare planes",
            WayOut(
                "give it as noise=(gain, offset, read noise) in data units, or use neighbours='none'.",
                "give gain, offset and read noise in data units with --noise, or use --neighbours none.",
                "choose the Intensity Camera noise and type gain, offset and read noise, or drop the neighbours.",
            ),
        )
    known = asked.model_copy(update={"noise": noise})
    found = {axis: _agreement(known, axis, sample, missing) for axis in axes}
    if automatic:
        axes = "".join(axis for axis in axes if found[axis].worth)
        if not axes:
            most = max(agreement.agreeing for agreement in found.values())
            agree = "none of them agrees" if most < 0.05 else f"no more than {most:.1f} of them agree"
            return Chosen(NONE, f"as {agree}")
    together = found[axes] if axes in found else _agreement(known, axes, sample, missing)
    chosen = known.model_copy(update={"axis": axes or asked.axis, "left": asked.left or together.left})
    return Chosen(chosen, _words(found, together.left, image, chosen))


def _reason_for_none(card: ModelCard, recipe: Recipe) -> str:
    """Return the reason why no neighbours are chosen automatically; "" if there is none."""
    if card.task != "denoise" and card.first is None:
        return f"as the model is for {card.task}" if card.task != "other" else "as the task of the model is unknown"
    return "as the padding of the authors is for comparison with their figures" if recipe.padding == "authors" else ""


def _rules(recipe: Recipe, card: ModelCard, channels: int) -> list[Missing]:
    """Return the rule for missing pixels of each channel: that of a run, of a recipe with chosen values."""
    each = zip(broadcast(validity_of(recipe), channels), broadcast(scales_of(recipe, card), channels), strict=True)
    return [partial(valid.missing, limits=scale.limits) for valid, scale in each]


def _noise(
    estimates: Sequence[NoiseEstimate | None],
    recipe: Recipe,
    sample: list[list[_Crop]],
    missing: Sequence[Missing],
) -> tuple[_Noise, ...] | None:
    """Return gain, offset, read noise and correlation of each channel; None if the noise of a channel is unknown."""
    given = broadcast(recipe.noise, len(estimates)) if recipe.noise else (None,) * len(estimates)
    found = []
    for estimate, known, crops, rule in zip(estimates, given, sample, missing, strict=True):
        camera = CameraNoise(*known) if known else CameraNoise.from_estimate(estimate) if estimate else None
        if camera is None:
            return None
        along = estimate.correlation if estimate else (0.0, 0.0)
        pairs = [(crop.pixels, other) for crop in crops for (_, step), other in crop.beside.items() if step == 1]
        seen = calibrated(FusionNoise(camera, (max(along[0], 0.0), max(along[1], 0.0))), pairs, rule)
        camera = camera if known else seen.camera
        numbers = (camera.gain, camera.offset, camera.read_noise)
        found.append((*(float(f"{x:.6g}") for x in numbers), *(round(rho, 3) for rho in seen.correlation)))
    return tuple(found)  # type: ignore[arg-type]


_Noise = tuple[float, float, float, float, float]


@dataclass(frozen=True, eq=False)
class _Crop:
    """A crop of a plane, and the same crop of its neighbours, by axis and step."""

    pixels: NDArray[Any]
    beside: dict[tuple[str, int], NDArray[Any]]


def _read(image: Image, asked: Neighbours, axes: str, channel: int, skip: bool) -> list[_Crop]:
    """Read crops of planes spread over the image, and of their neighbours; with `skip`, leave out damaged crops."""
    sizes = image.sizes
    rows, columns = min(sizes["Y"], _CROP), min(sizes["X"], _CROP)
    count = min(_CROPS, sizes.get("T", 1) * sizes.get("Z", 1))
    crops = []
    for region in spread_regions(image, "TZ", count, rows, columns, channel=channel):
        try:
            middle, beside = _plane(image, region), {}
            for axis in axes:
                at = image.canonical.index(axis)
                here, sides = region[at].start, asked.along(axis)
                for k in range(max(0, here - sides), min(sizes[axis], here + sides + 1)):
                    if k != here:
                        there = (*region[:at], slice(k, k + 1), *region[at + 1 :])
                        beside[axis, k - here] = _plane(image, there)
        except ChunkError:
            if not skip:
                raise
            continue
        crops.append(_Crop(middle, beside))
    return crops


def _plane(image: Image, region: tuple[slice, ...]) -> NDArray[Any]:
    """Read a crop of one plane, its first sample."""
    pixels = image.read(region)
    pixels = pixels[..., 0] if "S" in image.canonical else pixels
    return pixels.reshape(pixels.shape[-2:])


@dataclass(frozen=True)
class _Agreement:
    """Average numbers of agreeing and of all neighbours in a sample, and the noise that is left in each channel."""

    agreeing: float
    there: float
    left: tuple[float, ...]

    @property
    def worth(self) -> bool:
        """Whether enough neighbours agree."""
        return self.agreeing >= min(_WORTH, self.there / 2) > 0


def _words(found: dict[str, _Agreement], left: tuple[float, ...], image: Image, chosen: Neighbours) -> str:
    """Describe how many planes agree along each axis, and the noise that is left."""
    planes = {axis: 1 + min(2 * chosen.along(axis), image.sizes[axis] - 1) for axis in chosen.axis if axis in found}
    each = ", ".join(
        f"{axis}: {1 + found[axis].agreeing:.1f} of {count} planes agree" for axis, count in planes.items()
    )
    return (
        f"{each or 'no plane has neighbours'}; noise falls to {np.mean(left):.2f}; the first and last planes have "
        "fewer neighbours"
    )


def _agreement(neighbours: Neighbours, axes: str, sample: list[list[_Crop]], missing: Sequence[Missing]) -> _Agreement:
    """Average the crops of a sample, and measure how many neighbours agree."""
    agreeing, left = [], []
    for noise, crops, rule in zip(fusion_noises(neighbours), sample, missing, strict=True):
        fused = [_fused(crop, axes, noise, neighbours.strength, rule) for crop in crops]
        agreeing += [float(f.planes.mean()) - 1 for f in fused]
        left.append(round(float(np.mean([f.noise.mean() for f in fused])) if fused else 1.0, 2))
    counts = [sum(axis in axes for axis, _ in crop.beside) for crops in sample for crop in crops]
    mean = [float(np.mean(each)) if each else 0.0 for each in (agreeing, counts)]
    return _Agreement(mean[0], mean[1], tuple(left))


def _fused(crop: _Crop, axes: str, noise: FusionNoise, strength: float, missing: Missing) -> Fused:
    summary, near = summarise([crop.pixels], missing), []
    for (axis, _), other in crop.beside.items():
        pair = compare(summary, summarise([other], missing), noise)
        if axis in axes and not pair.reason:
            near.append(Neighbour(other, pair.gain, pair.offset))
    return fuse(crop.pixels, near, noise, strength=strength, missing=missing)

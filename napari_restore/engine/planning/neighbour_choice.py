"""Which neighbours count is chosen from a sample: crops of a few planes, with those beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.planning.normalisation import Intensity, validity_of
from napari_restore.engine.planning.reading import patient
from napari_restore.engine.planning.recipe import Recipe, for_each
from napari_restore.engine.planning.sampling import estimate_image_noise, spread_regions
from napari_restore.engine.planning.settings.neighbours import NONE, Neighbours
from napari_restore.errors import ChunkError, RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.intensity.fusion import Fused, FusionNoise, Missing, Neighbour, fuse
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.plane_pairs import calibrated, compare, summarise
from napari_restore.intensity.stabilise import CameraNoise
from napari_restore.intensity.validity import Validity
from napari_restore.models.card import ModelCard

__all__ = ["Chosen", "choose_neighbours", "fusion_noises"]

_CROPS = 4
"""Places that are looked at in each channel."""
_CROP = 192
_WORTH = 0.25
"""Neighbours that have to agree, on average, for an axis to be taken by itself."""


@dataclass(frozen=True)
class Chosen:
    """Neighbours with every field chosen, and the clause that a plan shows of them."""

    neighbours: Neighbours | None
    why: str


def fusion_noises(neighbours: Neighbours) -> tuple[FusionNoise, ...]:
    """The noise of each channel, of a choice that is made."""
    return tuple(FusionNoise(CameraNoise(*noise[:3]), (noise[3], noise[4])) for noise in neighbours.noise or ())


def choose_neighbours(image: Image, card: ModelCard, recipe: Recipe, values: Intensity) -> Chosen:
    """Choose axis, noise and what is left of it.

    By default neighbours count for a denoiser along each axis where the sample shows that they agree.

    Parameters
    ----------
    image, card, recipe
        Of the run.
    values
        What is chosen of the values, and the noise that was estimated for that.

    Raises
    ------
    RecipeError
        If neighbours along an axis are asked for that the image does not have.
    SourceError
        If they are asked for, and the noise cannot be told from the image.
    """
    asked = recipe.neighbours or Neighbours()
    there = "".join(axis for axis in "TZ" if image.sizes.get(axis, 1) > 1)
    by_itself = asked.axis == "auto"
    if asked.axis == "none":
        return Chosen(NONE, "")
    if not by_itself and asked.noise and asked.left:
        return Chosen(asked, f"noise falls to {np.mean(asked.left):.2f}")
    if by_itself and not there:
        return Chosen(NONE, "")
    if by_itself and (other := _other_use(card, recipe)):
        return Chosen(NONE, f"{other}; name an axis to use them")
    if not by_itself and (lacking := [axis for axis in asked.axis if axis not in image.sizes]):
        raise RecipeError(
            f"neighbours={asked.axis!r}: the image has no axis {lacking[0]} (its axes are {image.axes}); use "
            f"{there!r}, or 'none'."
            if there
            else f"neighbours={asked.axis!r}: the image has no axis {lacking[0]} "
            f"(its axes are {image.axes}); use 'none'."
        )
    axes = "".join(axis for axis in (there if by_itself else asked.axis) if axis in there)
    source, skip = patient(image, "raise", ()), recipe.on_error == "fill"
    sample = [_read(source, asked.planes, axes, channel, skip) for channel in range(image.sizes.get("C", 1))]
    estimates = values.noise or estimate_image_noise(source, skip_damaged=skip)
    noise = asked.noise or _noise(estimates, recipe, sample)
    if noise is None:
        if by_itself:
            return Chosen(NONE, "as the noise cannot be told from this image")
        raise SourceError(
            f"the noise of {image.name} cannot be estimated, and without it nobody can tell whether planes agree; give "
            "it as noise=(gain, offset, read noise) in data units, or use neighbours='none'."
        )
    known = asked.model_copy(update={"noise": noise})
    valid = for_each(validity_of(recipe.model_copy(update=values.settings)), len(sample))
    if by_itself:
        found = {axis: _look(known, axis, sample, valid).agreeing for axis in axes}
        axes = "".join(axis for axis in axes if found[axis] >= _WORTH)
        if not axes:
            return Chosen(NONE, f"as no more than {max(found.values()):.1f} of them agree")
    look = _look(known, axes, sample, valid)
    chosen = known.model_copy(update={"axis": axes or asked.axis, "left": asked.left or look.left})
    return Chosen(chosen, look.words(image, chosen))


def _other_use(card: ModelCard, recipe: Recipe) -> str:
    """Why a run is not one where neighbours count by themselves; "" if it is."""
    if card.task != "denoise":
        return f"as the model is for {card.task}" if card.task != "other" else "as nobody says what the model is for"
    return "as the authors' padding is for their tables" if recipe.padding == "authors" else ""


def _noise(
    estimates: Sequence[NoiseEstimate | None], recipe: Recipe, sample: list[list[_Crop]]
) -> tuple[_Noise, ...] | None:
    """Gain, offset, read noise and correlation of each channel; None if one shows none."""
    given = for_each(recipe.noise, len(estimates)) if recipe.noise else (None,) * len(estimates)
    found = []
    for estimate, known, crops in zip(estimates, given, sample, strict=True):
        camera = CameraNoise(*known) if known else CameraNoise.from_estimate(estimate) if estimate else None
        if camera is None:
            return None
        along = estimate.correlation if estimate else (0.0, 0.0)
        pairs = [(crop.pixels, other) for crop in crops for (_, step), other in crop.beside.items() if step == 1]
        seen = calibrated(FusionNoise(camera, (max(along[0], 0.0), max(along[1], 0.0))), pairs)
        camera = camera if known else seen.camera
        numbers = (camera.gain, camera.offset, camera.read_noise)
        found.append((*(float(f"{x:.6g}") for x in numbers), *(round(rho, 3) for rho in seen.correlation)))
    return tuple(found)  # type: ignore[arg-type]


_Noise = tuple[float, float, float, float, float]


@dataclass(frozen=True, eq=False)
class _Crop:
    """Pixels of a plane, and of those beside it by axis and step."""

    pixels: NDArray[Any]
    beside: dict[tuple[str, int], NDArray[Any]]


def _read(image: Image, planes: int, axes: str, channel: int, skip: bool) -> list[_Crop]:
    """Read crops of planes that are spread over the image, with those beside them; without those that are damaged."""
    sizes = image.sizes
    rows, columns = min(sizes["Y"], _CROP), min(sizes["X"], _CROP)
    count = min(_CROPS, sizes.get("T", 1) * sizes.get("Z", 1))
    crops = []
    for region in spread_regions(image, "TZ", count, rows, columns, channel=channel):
        try:
            middle, beside = _plane(image, region), {}
            for axis in axes:
                at = image.canonical.index(axis)
                here = region[at].start
                for k in range(max(0, here - planes), min(sizes[axis], here + planes + 1)):
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
class _Look:
    """What the sample shows: neighbours that agree on average, and the noise that is left, in each channel."""

    agreeing: float
    left: tuple[float, ...]

    def words(self, image: Image, chosen: Neighbours) -> str:
        most = 1 + sum(min(2 * chosen.planes, image.sizes[axis] - 1) for axis in chosen.axis)
        return (
            f"{1 + self.agreeing:.1f} of {most} planes agree; noise falls to {np.mean(self.left):.2f}; the first and "
            "last planes have fewer neighbours"
        )


def _look(neighbours: Neighbours, axes: str, sample: list[list[_Crop]], validity: Sequence[Validity]) -> _Look:
    """Fuse the sample, and see what comes of it."""
    agreeing, left = [], []
    for noise, crops, valid in zip(fusion_noises(neighbours), sample, validity, strict=True):
        fused = [_fused(crop, axes, noise, neighbours.strength, valid.missing) for crop in crops]
        agreeing += [float(f.planes.mean()) - 1 for f in fused]
        left.append(round(float(np.mean([f.noise.mean() for f in fused])) if fused else 1.0, 2))
    return _Look(float(np.mean(agreeing)) if agreeing else 0.0, tuple(left))


def _fused(crop: _Crop, axes: str, noise: FusionNoise, strength: float, missing: Missing) -> Fused:
    summary, near = summarise([crop.pixels], missing), []
    for (axis, _), other in crop.beside.items():
        pair = compare(summary, summarise([other], missing), noise)
        if axis in axes and not pair.reason:
            near.append(Neighbour(other, pair.gain, pair.offset))
    return fuse(crop.pixels, near, noise, strength=strength, missing=missing)

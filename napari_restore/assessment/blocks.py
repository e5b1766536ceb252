"""Assess one block: the score of each pixel, the probability of each window, and sums for the report."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_restore.assessment.calibration import Null, Standardised, standardise
from napari_restore.assessment.pairing import Floats, Paired, plane_region
from napari_restore.quality.photometry import Sums, moments_of, region_sums
from napari_restore.quality.residual_tests import (
    contrast_lost,
    log10_p_of_agreement,
    log10_p_of_normal,
    neighbour_agreement,
)
from napari_restore.quality.structure import (
    REACH,
    WINDOW,
    filtered,
    log10_p_of_maximum,
    structure_score,
    window_maximum,
    window_sum,
)

__all__ = [
    "CELL",
    "KINDS",
    "Assessed",
    "BlockPlace",
    "Settings",
    "assess_block",
    "block_steps",
    "blocks_of",
]

KINDS = ("structure", "contrast", "neighbours")
"""What a window was found by: a spot or filament in the residual, contrast of the restored image in the residual, or a
residual that agrees with those of the neighbouring planes."""
SIDE = 512
"""Side of a block in pixels, a multiple of the window; smaller for super-resolution."""
RUN = 16
"""Planes of a block along the stack."""
CELL = 64
"""Side of the squares whose sums are compared, in pixels; divides the side of a block."""
_LEAST_VALID = 0.25
"""Smallest share of valid pixels with which a window is assessed."""


@dataclass(frozen=True)
class BlockPlace:
    """Position of a block.

    Attributes
    ----------
    where : dict of str to int
        Index along T, C and Z; along the stack, the index of the first plane.
    count : int
        Number of planes along the stack.
    rows, columns : slice
        Pixels of the source.
    """

    where: dict[str, int]
    count: int
    rows: slice
    columns: slice


@dataclass(frozen=True)
class Settings:
    """What the tests depend on.

    Attributes
    ----------
    tolerance : float
        Share of the local contrast by which a result may deviate.
    significance : float
        Probability below which a window is flagged.
    """

    tolerance: float = 0.05
    significance: float = 1e-4


@dataclass(eq=False)
class Assessed:
    """What was found in a block.

    Attributes
    ----------
    place : BlockPlace
        Where it is.
    score : numpy.ndarray
        Largest response of all filters, shape ``(planes, h, w)``, float32; positive where structure was taken away.
    significance : numpy.ndarray
        Minus the decimal logarithm of the probability, one per window, with the sign of the deviation; NaN where there
        are too few valid pixels.
    kind : numpy.ndarray
        Index in `KINDS` of the test with the smallest probability, one per window.
    squares : float
        Sum of the squares of the standardised residual.
    pixels : int
        Number of valid pixels.
    sums : Sums
        Of the squares of `CELL` pixels, or of regions.
    likeness : numpy.ndarray
        Of noisy and restored pixels, see `napari_restore.quality.photometry.moments_of`.
    """

    place: BlockPlace
    score: npt.NDArray[np.float32]
    significance: npt.NDArray[np.float32]
    kind: npt.NDArray[np.uint8]
    squares: float = 0.0
    pixels: int = 0
    sums: list[Sums] = field(default_factory=list)
    likeness: Floats = field(default_factory=lambda: np.zeros(6))


def block_steps(paired: Paired) -> dict[str, int]:
    """Return the distance of blocks along each axis of TCZYX, in pixels of the source."""
    side = max(SIDE // paired.scale // CELL, 1) * CELL
    steps = dict.fromkeys("TCZ", 1) | dict.fromkeys("YX", side)
    return steps | ({paired.stack: min(RUN, paired.sizes[paired.stack])} if paired.stack else {})


def blocks_of(paired: Paired) -> Iterator[BlockPlace]:
    """Yield all blocks, in the order of the axes TCZYX.

    Parameters
    ----------
    paired : Paired
        The images.

    Yields
    ------
    BlockPlace
        A block.
    """
    sizes, steps = paired.sizes, block_steps(paired)
    side = steps["Y"]
    for index in itertools.product(*(range(0, sizes[axis], steps[axis]) for axis in "TCZ")):
        where = dict(zip("TCZ", index, strict=True))
        count = min(steps[paired.stack], sizes[paired.stack] - where[paired.stack]) if paired.stack else 1
        for top, left in itertools.product(range(0, sizes["Y"], side), range(0, sizes["X"], side)):
            rows, columns = slice(top, min(top + side, sizes["Y"])), slice(left, min(left + side, sizes["X"]))
            yield BlockPlace(where, count, rows, columns)


def assess_block(
    paired: Paired, null: Null, place: BlockPlace, settings: Settings, labels: npt.NDArray[Any] | None = None
) -> Assessed:
    """Assess a block. It depends on the pixels around it and on nothing else.

    Parameters
    ----------
    paired : Paired
        The images.
    null : Null
        Calibration of the channel.
    place : BlockPlace
        The block.
    settings : Settings
        What the tests depend on.
    labels : numpy.ndarray, optional
        Regions whose sums are compared, shape ``(planes, h, w)``, 0 for background; None for squares.

    Returns
    -------
    Assessed
        What was found.
    """
    sizes = paired.sizes
    first = place.where[paired.stack] if paired.stack else 0
    last = first + place.count
    low, high = max(first - 1, 0), min(last + 1, sizes[paired.stack] if paired.stack else 1)
    outer = [_wider(part, sizes[axis]) for axis, part in zip("YX", (place.rows, place.columns), strict=True)]
    region = plane_region(place.where, paired.stack, slice(low, high), *outer)
    noisy, restored = paired.noisy(region), paired.restored(region)
    planes = [standardise(*both, null) for both in zip(noisy, restored, strict=True)]
    inside = tuple(
        slice(part.start - wide.start, part.stop - wide.start)
        for part, wide in zip((place.rows, place.columns), outer, strict=True)
    )
    responses = [_smallest_spot(plane, null)[inside] for plane in planes] if paired.stack else []
    height, width = (part.stop - part.start for part in inside)
    windows = (place.count, -(-height // WINDOW), -(-width // WINDOW))
    found = Assessed(
        place, np.zeros((place.count, height, width), np.float32), np.full(windows, np.nan, np.float32),
        np.zeros(windows, np.uint8),
    )  # fmt: skip
    for number in range(place.count):
        k = number + first - low
        others = [responses[i] for i in (k - 1, k + 1) if 0 <= i < len(responses)]
        score, significance, kind = _tests(planes[k], null, settings, inside, responses[k] if others else None, others)
        found.score[number], found.significance[number], found.kind[number] = score, significance, kind
        valid = planes[k].valid[inside]
        before, after = noisy[k][inside], restored[k][inside]
        found.squares += float((planes[k].residual[inside].astype(np.float64)[valid] ** 2).sum())
        found.pixels += int(valid.sum())
        found.likeness += moments_of(before[valid], after[valid])
        found.sums.append(
            region_sums(
                before,
                after,
                null.camera.variance(after),
                valid,
                null.correlation,
                CELL,
                None if labels is None else labels[number],
            )
        )
    return found


def _wider(part: slice, length: int) -> slice:
    return slice(max(part.start - REACH, 0), min(part.stop + REACH, length))


def _smallest_spot(plane: Standardised, null: Null) -> npt.NDArray[np.float32]:
    response, _ = next(iter(filtered(plane.residual, plane.valid, null.correlation)))
    return response


def _tests(
    plane: Standardised, null: Null, settings: Settings, inside: tuple[slice, ...],
    response: npt.NDArray[np.float32] | None, others: list[npt.NDArray[np.float32]],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint8]]:  # fmt: skip
    """Return the score of each pixel, and of each window the signed significance and the test that gave it."""
    from scipy import ndimage

    local = np.sqrt(np.maximum(ndimage.gaussian_filter(plane.contrast**2, 4.0), 0))
    score = structure_score(
        plane.residual, plane.valid, null.correlation, factors=null.factors,
        tolerated=(settings.tolerance * local).astype(np.float32),
    )[inside]  # fmt: skip
    residual, contrast, valid = plane.residual[inside], plane.contrast[inside], plane.valid[inside]
    largest = window_maximum(score)
    _, lost = contrast_lost(residual, contrast, null.correlation, settings.tolerance)
    lost = lost / null.contrast_factor
    logs = [log10_p_of_maximum(largest, null.correlation), log10_p_of_normal(lost)]
    signs: list[npt.NDArray[Any]] = [largest, lost]
    pixels = window_sum(valid.astype(np.float32))
    if response is not None:
        coefficient = neighbour_agreement(response, np.sum(others, axis=0))
        logs.append(log10_p_of_agreement(coefficient, pixels, null.correlation))
        signs.append(np.where(largest == 0, 1, largest))
    stacked = np.stack(logs)
    kind = stacked.argmin(0)
    smallest = np.minimum(stacked.min(0) + np.log10(len(logs)), 0)  # Bonferroni
    sign = np.where(np.take_along_axis(np.stack(signs), kind[None], 0)[0] < 0, -1, 1)
    enough = pixels >= _LEAST_VALID * window_sum(np.ones_like(residual))
    return score, np.where(enough, -smallest * sign, np.nan).astype(np.float32), kind.astype(np.uint8)

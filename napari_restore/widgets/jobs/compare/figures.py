"""Measure figures of a restored plane, each with its meaning."""

from __future__ import annotations

__all__ = ["Figure", "Measures", "measure_pair", "measure_planes"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_restore.intensity.scaling import without_infinities
from napari_restore.quality.metrics import fit_gain_offset, psnr, residual_autocorrelation, seam_ratio, ssim
from napari_restore.widgets.jobs.compare.comparison import Comparison
from napari_restore.widgets.jobs.compare.pairs import Pair, Planes, find_reference, tile_borders

Plane = NDArray[Any]

# The bundled denoiser gives at most 0.08 and 0.04 on the bundled samples, a Gaussian blur of 3 pixels 0.35 and 0.12.
_WHITE = 0.15
"""Largest correlation of neighbours in what was removed, of either sign, that counts as noise."""
_NO_STRUCTURE = 0.15
"""Largest correlation of what was removed with the image, of either sign, that counts as chance."""
# In views of the bundled samples, restored with and without halo and blend, 0.9 to 1.2, and 1.8 to 3.8.
_NO_SEAM = 1.25
"""Largest ratio of gradients at tile borders that counts as no seam."""
_UNCHANGED = 0.002
"""Share of the contrast of the source: if less was removed, the result is the source."""
_BINS, _REACH = 61, 4.0
"""Bins of the histogram of what was removed, and its reach on both sides of zero in standard deviations."""


class Figure(NamedTuple):
    """A figure of a restored plane.

    Attributes
    ----------
    text : str
        Name and value: ``"Whiteness +0.02"``.
    meaning : str
        Its meaning.
    good : bool or None
        Whether the value is good (True) or doubtful (False); None: there is no limit for it.
    """

    text: str
    meaning: str
    good: bool | None = None

    @property
    def mark(self) -> str:
        """A sign for good or doubtful; empty if there is no limit."""
        return {True: "✓", False: "?", None: ""}[self.good]


@dataclass(frozen=True)
class Measures:
    """What is measured of a source and its result.

    Attributes
    ----------
    figures : tuple of Figure
        The figures.
    sentence : str
        What they mean together.
    counts : ndarray of int
        Histogram of source minus result, symmetrical about zero; empty if nothing was measured.
    reach : float
        The difference at both ends of the histogram, in the unit of the source.
    """

    figures: tuple[Figure, ...]
    sentence: str
    counts: NDArray[np.int64]
    reach: float


def measure_pair(
    comparison: Comparison, pair: Pair, planes: Planes, references: Sequence[Any], reference_name: str | None
) -> Measures:
    """Measure a source and one of its result layers; see `measure_planes`.

    Parameters
    ----------
    comparison : Comparison
        Source and result.
    pair : Pair
        One of the result layers.
    planes : Planes
        The pixels that were read of it.
    references, reference_name
        Layers to search for a reference: see `find_reference`.

    Returns
    -------
    Measures
        Of the pixels that were read.

    Raises
    ------
    RestoreError
        If the named reference does not cover the pixels.
    """
    placed = planes.placed
    reference = find_reference(references, reference_name, comparison.source, placed)
    first = np.round(pair.result.world_to_data(placed["affine"](placed["translate"]))).astype(int)
    (top, left), (height, width) = (int(first[placed["axes"].index(a)]) for a in "YX"), planes.after.shape[:2]
    borders = tile_borders(comparison.plan, comparison.origin, ((top, top + height), (left, left + width)))
    return measure_planes(planes.before, planes.after, reference=reference, borders=borders)


def measure_planes(
    before: Plane,
    after: Plane,
    *,
    reference: Plane | None = None,
    borders: tuple[Sequence[int], Sequence[int]] | None = None,
) -> Measures:
    """Measure a restored plane.

    Parameters
    ----------
    before, after : ndarray
        Source and result in the same unit, ``(h, w)``, or ``(h, w, samples)``, whose mean is used. `after` may be
        larger by an integer factor; it is then averaged down to compare.
    reference : ndarray, optional
        The known truth, of the shape of `after`.
    borders : (sequence of int, sequence of int), optional
        Borders between tiles along y and x, in pixels of `after`.

    Returns
    -------
    Measures
        Figures, a sentence about them, and the histogram of what was removed.
    """
    before, after = _gray(before), _gray(after)
    found = [] if reference is None else _closeness(_gray(reference), after)
    sentence, counts, reach = "Too few pixels are on screen to judge the result.", np.zeros(0, np.int64), 0.0
    factor = after.shape[0] // before.shape[0]
    if min(before.shape) > 1 and factor >= 1:
        small = after.reshape(before.shape[0], factor, before.shape[1], factor).mean((1, 3))
        known = np.isfinite(before) & np.isfinite(small)  # missing pixels are left out
        if known.any():
            removed, image = (before - small)[known], small[known]
            white = max(residual_autocorrelation(before - small), key=abs)
            structure = float(np.corrcoef(removed, image)[0, 1]) if removed.std() and image.std() else 0.0
            found += _noise_figures(white, structure)
            sentence = _sentence(white, structure, removed.std() / (before[known].std() or 1.0))
            reach = _REACH * float(removed.std()) or 1.0
            counts = np.histogram(removed, _BINS, (-reach, reach))[0]
    if borders is not None:
        found.append(_seams(before, after, borders))
        if found[-1].good is False:
            sentence += " Borders between tiles may show; a larger halo helps."
    return Measures(tuple(found), sentence, counts, reach)


def _closeness(reference: Plane, after: Plane) -> list[Figure]:
    if reference.shape != after.shape:
        return []
    known = reference[np.isfinite(reference) & np.isfinite(after)]
    if not known.size:
        return []
    span = float(np.ptp(known)) or 1.0
    # Two exposures of one specimen differ in gain and offset; the figures must not count that as an error.
    gain, offset = fit_gain_offset(after, reference)
    fitted = gain * after + offset
    found = [Figure(f"PSNR {psnr(reference, fitted, span):.1f} dB", "closeness to the reference; higher is closer")]
    likeness = ssim(reference, fitted, span)
    if not np.isnan(likeness):
        found.append(Figure(f"SSIM {likeness:.3f}", "likeness to the reference; 1 is equal"))
    return found


def _noise_figures(white: float, structure: float) -> tuple[Figure, Figure]:
    """Return the whiteness of what was removed, and the structure of the image in it, each with its meaning."""
    return (
        Figure(
            f"Whiteness {white:+.2f}", "correlation of neighbours in what was removed; 0 is pure noise",
            abs(white) <= _WHITE,
        ),
        Figure(
            f"Structure {structure:+.2f}", "correlation of what was removed with the image; 0 is none lost",
            abs(structure) <= _NO_STRUCTURE,
        ),
    )  # fmt: skip


def _sentence(white: float, structure: float, share: float) -> str:
    """Say what whiteness and structure mean together, if this share of the contrast was removed."""
    if share < _UNCHANGED:
        return "Almost nothing was changed."
    is_white, no_structure = abs(white) <= _WHITE, abs(structure) <= _NO_STRUCTURE
    if not no_structure and structure < 0:
        return "The result has more contrast than the source: it was sharpened."
    if not no_structure and is_white:
        return "Some of the noise is left in the result."
    if not no_structure:
        return "Part of the image is in what was removed: compare fine detail with the source."
    if not is_white:
        return "What was removed is alike from pixel to pixel: correlated noise, or fine detail."
    return "What was removed looks like pure noise."


def _seams(before: Plane, after: Plane, borders: tuple[Sequence[int], Sequence[int]]) -> Figure:
    if not any(len(border) for border in borders):
        return Figure("Seams none", "no border between tiles is on screen")
    ratio = seam_ratio(after, *borders, source=before)
    if np.isnan(ratio):
        return Figure("Seams none", "the image is flat at the borders between tiles, or these are too near to its edge")
    meaning = "gradient at tile borders over that beside them, as the source has it; 1 is no seam"
    return Figure(f"Seams {ratio:.2f}", meaning, ratio <= _NO_SEAM)


def _gray(plane: Plane) -> Plane:
    """Return the mean of the colour samples, if there are any, as floats; NaN where a value is infinite."""
    values = without_infinities(plane)
    return values.mean(axis=-1) if plane.ndim == 3 else values

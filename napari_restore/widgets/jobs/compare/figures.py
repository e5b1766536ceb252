"""Measure figures of a restored plane, each with its meaning."""

from __future__ import annotations

__all__ = ["measure_pair", "plane_figures"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.quality.metrics import fit_gain_offset, psnr, residual_autocorrelation, seam_ratio, ssim
from napari_restore.widgets.jobs.compare.comparison import Comparison
from napari_restore.widgets.jobs.compare.pairs import Pair, Planes, find_reference, tile_borders

Plane = NDArray[Any]


def measure_pair(
    comparison: Comparison, pair: Pair, planes: Planes, references: Sequence[Any], reference_name: str | None
) -> list[tuple[str, str]]:
    """Measure the figures of a source and one of its result layers; see `plane_figures`.

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
    list of (figure, meaning)
        See `plane_figures`.

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
    return plane_figures(planes.before, planes.after, reference=reference, borders=borders)


def plane_figures(
    before: Plane,
    after: Plane,
    *,
    reference: Plane | None = None,
    borders: tuple[Sequence[int], Sequence[int]] | None = None,
) -> list[tuple[str, str]]:
    """Measure the figures of a plane.

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
    list of (figure, meaning)
        Such as ``("PSNR 31.2 dB", "…")``.
    """
    before, after = _gray(before), _gray(after)
    reference = None if reference is None else _gray(reference)
    found = []
    if reference is not None and reference.shape == after.shape:
        span = float(np.ptp(reference)) or 1.0
        # Two exposures of one specimen differ in gain and offset; the figures must not count that as an error.
        gain, offset = fit_gain_offset(after, reference)
        fitted = gain * after.astype(float) + offset
        found.append((f"PSNR {psnr(reference, fitted, span):.1f} dB", "closeness to the reference; higher is closer"))
        found.append((f"SSIM {ssim(reference, fitted, span):.3f}", "likeness to the reference; 1 is equal"))
    factor = after.shape[0] // before.shape[0]
    if min(before.shape) > 1 and factor >= 1:
        small = after.astype(float).reshape(before.shape[0], factor, before.shape[1], factor).mean((1, 3))
        residual = before.astype(float) - small
        along = residual_autocorrelation(residual)
        worst = max(along, key=abs)
        found.append((f"Whiteness {worst:+.2f}", "correlation of neighbours in what was removed; 0 is pure noise"))
        structure = float(np.corrcoef(residual.ravel(), small.ravel())[0, 1]) if residual.std() and small.std() else 0.0
        found.append((f"Structure {structure:+.2f}", "correlation of what was removed with the image; 0 is none lost"))
    if borders is not None and not any(len(border) for border in borders):
        found.append(("Seams none", "no border between tiles is on screen"))
    elif borders is not None:
        ratio = seam_ratio(after, *borders)
        found.append(
            (
                f"Seams {ratio:.2f}",
                "gradient at tile borders over that elsewhere; about 1, unless edges of the image lie there",
            )
        )
    return found


def _gray(plane: Plane) -> Plane:
    """Return the mean of the colour samples, if there are any."""
    return plane.mean(axis=-1) if plane.ndim == 3 else plane

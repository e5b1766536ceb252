"""Collect sums over regions and their errors from all blocks: photometry and linearity."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_restore.assessment.blocks import CELL, Assessed
from napari_restore.quality.photometry import Sums, line_from_moments, moments_of

__all__ = ["SumsOfRegions"]

_LISTED = 1000
"""Regions that the JSON lists; of more, those that deviate most."""
_BINS = np.array([1.0, 2.0, 3.0, np.inf])
"""Upper ends of the deviations that are counted, in standard deviations of the noise."""


class SumsOfRegions:
    """Sums before and after, of squares or of labelled regions.

    Parameters
    ----------
    labelled : bool
        Whether the regions are those of a labels image, which may reach over blocks and planes.
    stack : str
        Axis along which planes are neighbours, or empty.
    """

    def __init__(self, labelled: bool, stack: str) -> None:
        self.labelled, self._stack = labelled, stack
        self._regions: dict[tuple[int, ...], np.ndarray[Any, Any]] = {}
        self._moments = np.zeros(6)
        self._counts = np.zeros(_BINS.size, np.int64)

    def take(self, found: Assessed) -> None:
        """Add the sums of a block."""
        for number, sums in enumerate(found.sums):
            if self.labelled:
                t = found.place.where["T"] + (number if self._stack == "T" else 0)
                self._add((t, found.place.where["C"]), sums)
            else:
                self._count(sums)

    def _add(self, where: tuple[int, ...], sums: Sums) -> None:
        columns = np.stack([sums.pixels, sums.before, sums.after, sums.variance], 1)
        for label, values in zip(sums.labels.tolist(), columns, strict=True):
            key = (*where, label)
            self._regions[key] = self._regions.get(key, np.zeros(4)) + values

    def _count(self, sums: Sums) -> None:
        whole = sums.pixels >= CELL * CELL // 2
        pixels, before, after, variance = (
            values[whole] for values in (sums.pixels, sums.before, sums.after, sums.variance)
        )
        self._tally(pixels, before, after, variance)

    def _tally(self, pixels: Any, before: Any, after: Any, variance: Any) -> None:
        if pixels.size == 0:
            return
        deviation = np.abs(after - before) / np.sqrt(np.maximum(variance, 1e-300))
        self._counts += np.bincount(np.searchsorted(_BINS, deviation), minlength=_BINS.size)
        self._moments += moments_of(before / pixels, after / pixels)

    def content(self) -> dict[str, Any]:
        """Return what the report says of them."""
        listed = []
        if self.labelled:
            table = np.array(list(self._regions.values())).reshape(-1, 4)
            self._tally(*table.T)
            listed = self._listed()
        slope, intercept, r = (None if np.isnan(value) else value for value in line_from_moments(self._moments))
        total = int(self._counts.sum())
        return {
            "regions": "labels" if self.labelled else f"squares of {CELL} pixels",
            "count": total,
            "within_1_sigma": int(self._counts[0]),
            "within_2_sigma": int(self._counts[:2].sum()),
            "within_3_sigma": int(self._counts[:3].sum()),
            "slope": slope, "intercept": intercept, "r": r,
            "listed": listed,
        }  # fmt: skip

    def _listed(self) -> list[dict[str, Any]]:
        rows = []
        for (t, c, label), (pixels, before, after, variance) in self._regions.items():
            error = float(np.sqrt(variance))
            rows.append(
                {
                    "t": t, "channel": c, "label": label, "pixels": int(pixels), "before": float(before),
                    "after": float(after), "error": error, "deviation": float((after - before) / max(error, 1e-300)),
                }
            )  # fmt: skip
        rows.sort(key=lambda row: -abs(row["deviation"]))
        return rows[:_LISTED]

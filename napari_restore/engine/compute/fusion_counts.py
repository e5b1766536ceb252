"""Collect statistics of the averaging of neighbouring planes: mean weights, remaining noise, and planes left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FusionCounts", "merged_counts"]

_LISTED = 1000
"""Number of left-out pairs of planes that are kept, at most."""


@dataclass
class FusionCounts:
    """Statistics of the averaging of neighbouring planes in a part of a result, for a report.

    Attributes
    ----------
    weights : dict of str to (float, int)
        For each neighbour, by axis and step (``"T-1"``): sum of its weights, and number of pixels that have this
        neighbour. Planes that are left out have weight 0; planes beyond the end of the stack are not counted.
    noise : (float, int)
        Sum over pixels of the standard deviation of the noise after averaging, as a share of that of the plane, and
        number of pixels.
    left_out : dict of str to None
        Pairs of planes that are not averaged, and why; an ordered set, of limited length.
    """

    weights: dict[str, tuple[float, int]] = field(default_factory=dict)
    noise: tuple[float, int] = (0.0, 0)
    left_out: dict[str, None] = field(default_factory=dict)

    def add_weight(self, neighbour: str, total: float, pixels: int) -> None:
        """Count a neighbour with the sum of its weights over some pixels."""
        before = self.weights.get(neighbour, (0.0, 0))
        self.weights[neighbour] = (before[0] + total, before[1] + pixels)

    def add_noise(self, noise: NDArray[np.floating]) -> None:
        """Count the noise that is left at some pixels."""
        self.noise = (self.noise[0] + float(noise.sum(dtype=np.float64)), self.noise[1] + noise.size)

    def add_left_out(self, pair: str) -> None:
        """List a pair of planes that is not averaged."""
        if len(self.left_out) < _LISTED:
            self.left_out[pair] = None

    def as_json(self) -> dict[str, Any] | None:
        """Return means and numbers of pixels as JSON types; None if nothing was counted."""
        if not self.noise[1]:
            return None
        return {
            "weights": {
                name: {"mean": round(total / pixels, 4), "pixels": pixels}
                for name, (total, pixels) in sorted(self.weights.items(), key=lambda item: _order(item[0]))
            },
            "noise_left": {"mean": round(self.noise[0] / self.noise[1], 4), "pixels": self.noise[1]},
            "left_out": list(self.left_out),
        }


def merged_counts(parts: Iterable[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Merge the JSON of several parts of a result, such as the blocks or the sessions of a run.

    Parameters
    ----------
    parts : iterable of mapping or None
        Results of `FusionCounts.as_json`.

    Returns
    -------
    dict or None
        The JSON of all parts together; None if nothing was counted.

    Examples
    --------
    >>> part = FusionCounts({"T-1": (6.0, 8)}, (4.0, 8)).as_json()
    >>> merged_counts([part, None, part])["weights"]
    {'T-1': {'mean': 0.75, 'pixels': 16}}
    """
    total = FusionCounts()
    for part in parts:
        if part is None:
            continue
        for name, found in part["weights"].items():
            total.add_weight(name, found["mean"] * found["pixels"], found["pixels"])
        left = part["noise_left"]
        total.noise = (total.noise[0] + left["mean"] * left["pixels"], total.noise[1] + left["pixels"])
        for pair in part["left_out"]:
            total.add_left_out(pair)
    return total.as_json()


def _order(neighbour: str) -> tuple[str, int]:
    return neighbour[0], int(neighbour[1:])

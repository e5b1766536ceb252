"""Restore a part of a plane with the weights that an adaptation has reached, to look at while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from napari_restore.adapting.outcome import View
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.errors import RecipeError
from napari_restore.intensity.scaling import fill_missing
from napari_restore.networks.denormals import denormals_are_zero

__all__ = ["LARGEST", "SECONDS", "Region", "restored_view", "slices_of"]

Region = Mapping[str, int | slice]
"""Index along T, C and Z, and slices along Y and X; by default of the first plane, and all of it."""

LARGEST = 192
"""Largest side of the part in pixels: it takes about as long as a step."""
SECONDS = 4.0
"""Seconds from one part to the next, at least."""


def slices_of(plan: Plan, region: Region) -> dict[str, slice]:
    """Return the middle of a region of a source, within its borders and of a size that a network takes.

    Parameters
    ----------
    plan : Plan
        Plan of a run of the parent on the source.
    region : Region
        Where to look.

    Raises
    ------
    RecipeError
        If the source does not have an axis of the region.
    """
    sizes, multiple = plan.image.sizes, plan.card.alignment
    if unknown := [axis for axis in region if axis not in sizes]:
        raise RecipeError(
            f"the view has an axis {unknown[0]}, and the source has {', '.join(sizes)}; leave {unknown[0]} out."
        )
    found = {}
    for axis, size in sizes.items():
        given = region.get(axis, slice(None) if axis in "YXS" else 0)
        if not isinstance(given, slice):
            first = min(max(given, 0), size - 1)
            given = slice(first, first + 1)
        start, stop, _ = given.indices(size)
        if axis in "YX":
            length = min(max((stop - start) // multiple * multiple, multiple), LARGEST // multiple * multiple)
            start = min(max((start + stop - length) // 2, 0), max(size - length, 0))
            stop = min(start + length, size)
        found[axis] = slice(start, stop)
    return found


def restored_view(plan: Plan, region: Region, network: Callable[[Tensor], Tensor], step: int) -> View:
    """Restore a part of a plane.

    Parameters
    ----------
    plan : Plan
        Plan of a run of the parent on the source.
    region : Region
        Where to look.
    network : callable
        ``(b, c, h, w) -> (b, c, h, w)``, normalised values.
    step : int
        Steps of which the network is the result.

    Raises
    ------
    RestoreError
        If the part cannot be read.
    """
    slices = slices_of(plan, region)
    channel = slices["C"].start if "C" in slices else 0
    scale, rule = broadcast(plan.scales, channel + 1)[channel], broadcast(plan.validity, channel + 1)[channel]
    pixels = plan.image.read(tuple(slices[axis] for axis in plan.image.canonical))
    plane = pixels.reshape(pixels.shape[-3:] if "S" in slices else pixels.shape[-2:])
    samples = np.moveaxis(plane, -1, 0) if "S" in slices else plane[None]
    missing = rule.missing(samples, scale.limits)
    values = torch.from_numpy(scale.normalise(fill_missing(samples, missing))).to(str(plan.device))
    batch = values[None] if plan.card.in_channels > 1 else values[:, None]
    with torch.no_grad(), denormals_are_zero():
        result = network(batch).cpu().numpy().reshape(values.shape)
    restored = scale.restore(result)
    return View(step, slices, np.asarray(np.moveaxis(restored, 0, -1) if "S" in slices else restored[0], np.float32))

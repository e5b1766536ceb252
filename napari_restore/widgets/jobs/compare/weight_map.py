"""Map the weights of the neighbouring planes for the plane on screen, without Qt."""

from __future__ import annotations

__all__ = ["WEIGHTS", "WeightMap", "make_weight_map", "weight_layer"]

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore import api
from napari_restore.images.axes import transposition
from napari_restore.widgets.jobs.job import Job
from napari_restore.widgets.jobs.layers.image_layers import Region, translation_of
from napari_restore.widgets.jobs.preview import previewed_region

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.widgets.jobs.results import LayerData

WEIGHTS = "neighbours · "
"""Prefix of the layer name; the name of the source follows."""


@dataclass(frozen=True)
class WeightMap:
    """Weights of the neighbouring planes.

    Attributes
    ----------
    region : tuple of slice
        The mapped region, in pixels and axis order of the layer.
    axes : str
        Axes of the weights.
    weights : ndarray
        Mean weight of the neighbours at each pixel, in [0, 1]; in the axis order of the layer, without axis S.
    """

    region: Region
    axes: str
    weights: NDArray[np.float32]


def make_weight_map(job: Job, view: Region, plan: Plan | None) -> Generator[WeightMap, None, None]:
    """Compute the weights for the centre of the region on screen.

    Parameters
    ----------
    job : Job
        The job of the run.
    view : tuple of slice
        The region on screen, in pixels and axis order of the layer.
    plan : Plan or None
        The plan of the job, if it has been made.

    Yields
    ------
    WeightMap
        The weights: the same that a run of the job uses.

    Raises
    ------
    RestoreError
        If the run is not possible, or the region of the job is not on screen.
    """
    plan = plan or job.in_memory().plan(fetch=False)
    region = previewed_region(job, view, plan)
    inside = {
        letter: slice(part.start - whole.start, part.stop - whole.start)
        for letter, part, whole in zip(job.axes, region, job.region, strict=True)
    }
    weights = api.neighbour_weights(plan, tuple(inside[letter] for letter in plan.axes))
    order = job.axes.replace("S", "")
    turned = weights.transpose(transposition(plan.axes.replace("S", ""), order))
    yield WeightMap(region, order, turned)


def weight_layer(layer: Any, made: WeightMap) -> LayerData:
    """Describe the layer that shows a map exactly over its source.

    Parameters
    ----------
    layer : napari.layers.Image
        The source.
    made : WeightMap
        The map.

    Returns
    -------
    (ndarray, dict, str)
        napari's layer data tuple.
    """
    placed = {
        "scale": layer.scale, "translate": translation_of(layer, [s.start for s in made.region[: layer.ndim]]),
        "rotate": layer.rotate, "shear": layer.shear, "affine": layer.affine.affine_matrix,
        "units": layer.units, "axis_labels": layer.axis_labels,
    }  # fmt: skip
    shown = {
        "name": f"{WEIGHTS}{layer.name}", "metadata": {"napari_restore": {"comparison": True}}, "rgb": False,
        "contrast_limits": (0.0, 1.0), "colormap": "viridis", "opacity": 0.6, "blending": "translucent",
    }  # fmt: skip
    return made.weights, {**shown, **placed}, "image"

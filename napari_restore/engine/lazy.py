"""A result that is computed when it is looked at: a dask array over the same block function."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
from dask._task_spec import TaskRef
from dask.blockwise import blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArrayBlockIdDep
from numpy.typing import NDArray

from napari_restore.engine.block import Ranges, restore_region
from napari_restore.engine.plan import Block, Plan
from napari_restore.engine.sample import estimate_ranges

__all__ = ["lazy_result"]


def _ranges(plan: Plan) -> Ranges:
    return plan.recipe.value_range or estimate_ranges(plan.image)


def _block(ranges: Ranges, index: Block, plan: Plan) -> NDArray[Any]:
    """Compute one chunk of the lazy result, on whatever worker dask has chosen."""
    from napari_restore.engine.predictor import predictor_for

    predict = predictor_for(plan.card, plan.recipe.device, plan.recipe.precision)
    return restore_region(plan, plan.region(index), predict, ranges)


def lazy_result(plan: Plan) -> da.Array:
    """Make the dask array of a plan's result, in canonical order, without reading the source.

    The graph has one task a block, which slices the source itself, and one that estimates the value range if the
    recipe leaves it open.
    """
    token = uuid4().hex  # hashing the source to name the same result alike would read all of it
    name, range_name = f"restored-{token}", f"value-range-{token}"
    make = partial(_block, plan=plan)
    chunks = tuple(
        tuple(min(size, length - start) for start in range(0, length, size))
        for size, length in zip(plan.block, plan.shape, strict=True)
    )
    axes = tuple(range(len(chunks)))
    blocks = blockwise(make, name, axes, TaskRef(range_name), None, ArrayBlockIdDep(chunks), axes, numblocks={})
    layers: dict[str, Any] = {range_name: {range_name: (_ranges, plan)}, name: blocks}
    graph = HighLevelGraph(layers, {range_name: set(), name: {range_name}})
    return da.Array(graph, name, chunks, meta=np.empty((0,) * len(chunks), plan.dtype))

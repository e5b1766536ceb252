"""A result that is computed when it is looked at: a dask array over the same block function."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
from dask._task_spec import TaskRef
from dask.blockwise import blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArrayBlockIdDep
from numpy.typing import NDArray

from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.planning.normalisation import choose_intensity
from napari_restore.engine.planning.plan import Block, Plan

__all__ = ["lazy_result"]


def _estimated(plan: Plan) -> Plan:
    """Give the plan with its intensity chosen."""
    return plan.with_settings(**choose_intensity(plan.image, plan.card, plan.recipe).settings)


def _block(plan: Plan, index: Block) -> NDArray[Any]:
    """Compute one chunk of the lazy result, on whatever worker dask has chosen."""
    from napari_restore.engine.compute.predictor import predictor_of

    return restore_region(plan, plan.region(index), predictor_of(plan))


def lazy_result(plan: Plan) -> da.Array:
    """Make the dask array of a plan's result, in canonical order, without reading the source.

    The graph has one task a block, which slices the source itself, and one that estimates value range and noise if the
    recipe leaves them open.
    """
    token = uuid4().hex  # hashing the source to name the same result alike would read all of it
    name, plan_name = f"restored-{token}", f"plan-{token}"
    chunks = tuple(
        tuple(min(size, length - start) for start in range(0, length, size))
        for size, length in zip(plan.block, plan.shape, strict=True)
    )
    axes = tuple(range(len(chunks)))
    blocks = blockwise(_block, name, axes, TaskRef(plan_name), None, ArrayBlockIdDep(chunks), axes, numblocks={})
    layers: dict[str, Any] = {plan_name: {plan_name: (_estimated, plan)}, name: blocks}
    graph = HighLevelGraph(layers, {plan_name: set(), name: {plan_name}})
    return da.Array(graph, name, chunks, meta=np.empty((0,) * len(chunks), plan.dtype))

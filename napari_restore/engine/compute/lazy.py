"""Make a lazy result: a dask array over the function that restores blocks."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray

from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.planning.choices.neighbours import choose_neighbours
from napari_restore.engine.planning.normalisation import choose_intensity
from napari_restore.engine.planning.plan import Block, Plan

__all__ = ["lazy_result"]


def _estimated(plan: Plan) -> Plan:
    """Return the plan with normalisation and neighbours chosen."""
    values = choose_intensity(plan.image, plan.card, plan.recipe)
    near = choose_neighbours(plan.image, plan.card, plan.recipe, values)
    return plan.with_settings(**values.settings, neighbours=near.neighbours)


def _block(plan: Plan, block_id: Block) -> NDArray[Any]:
    """Compute one chunk of the lazy result."""
    from napari_restore.engine.compute.predictor import predictor_of

    return restore_region(plan, plan.region(block_id), predictor_of(plan))


def lazy_result(plan: Plan) -> da.Array:
    """Make a dask array of a plan's result without reading the source.

    The graph has one task per block, which reads its own region of the source. One more task estimates value range and
    noise if the recipe leaves them open.

    Parameters
    ----------
    plan : Plan
        The run.

    Returns
    -------
    dask.array.Array
        The result in canonical order, in chunks of the plan's blocks.
    """
    token = uuid4().hex  # a name that is equal for equal results needs a hash of the source, which reads all of it
    # The plan is not an argument: dask would search it for arrays, and compute the whole source.
    estimate = delayed(partial(_estimated, plan), pure=False, traverse=False)
    chunks = tuple(
        tuple(min(size, length - start) for start in range(0, length, size))
        for size, length in zip(plan.block, plan.shape, strict=True)
    )
    result: da.Array = da.map_blocks(
        _block, estimate(dask_key_name=f"plan-{token}"), name=f"restored-{token}", chunks=chunks,
        meta=np.empty((0,) * len(chunks), plan.dtype),
    )  # fmt: skip
    return result

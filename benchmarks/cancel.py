"""How long a run takes to stop, beside a batch of its tiles: ``python -m benchmarks.cancel``.

A batch is timed, for which a run that stops between batches would wait. Then the run is stopped in the middle of its
first batches.
"""

from __future__ import annotations

import time

import numpy as np

from napari_restore import api
from napari_restore.engine.compute.estimate import tile_seconds
from napari_restore.engine.hardware.machine_cache import processor
from napari_restore.engine.planning.plan import Plan

CASES: tuple[tuple[str, str, int], ...] = (
    ("swinir-denoise-light", "eager", 1),
    ("swinir-denoise-light", "openvino", 1),
    ("restormer-denoise-light", "eager", 1),
    ("restormer-denoise-light", "eager", 8),
)
"""Model, back end and orientations of an ensemble."""
ROW = "| {} | {} | {} | {} | {} | {} | {} |"


def stop_seconds(plan: Plan, after: float) -> float:
    """The time that a run takes to stop, if it is stopped after some seconds."""
    steps, began = api.run(plan, np.zeros(plan.shape, plan.dtype)), time.perf_counter()
    for _ in steps:
        if time.perf_counter() - began > after:
            break
    began = time.perf_counter()
    steps.close()
    return time.perf_counter() - began


def main() -> None:
    image = np.random.default_rng(0).poisson(100, (4, 1024, 1024)).astype(np.uint16)
    print(f"{processor()}\n")
    print(ROW.format("model", "back end", "ensemble", "tile", "batch", "to stop", "share"))
    print(ROW.format(*["---"] * 7))
    for model, backend, ensemble in CASES:
        plan = api.plan(image, axes="ZYX", model=model, device="cpu", backend=backend, ensemble=ensemble)
        assert plan.recipe.batch is not None and plan.recipe.lanes is not None
        batch = tile_seconds(plan) * plan.recipe.batch * plan.recipe.lanes  # a batch on each lane
        stop = stop_seconds(plan, batch / 3)
        tile = " × ".join(map(str, plan.grid.tile_shape))
        print(ROW.format(model, backend, ensemble, tile, f"{batch:.1f} s", f"{stop:.1f} s", f"{stop / batch:.0%}"))


if __name__ == "__main__":
    main()

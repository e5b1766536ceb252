"""Estimate the memory of an adaptation before it starts, and refuse one that does not fit.

As for a run, only the host's memory beyond the program itself (Python, torch and the weights) is counted.
"""

from __future__ import annotations

from napari_restore.adapting.crops import MOST
from napari_restore.engine.hardware.device import CPU
from napari_restore.engine.hardware.devices import free_memory
from napari_restore.engine.planning.memory import LIBRARIES, memory_limit, sample_bytes
from napari_restore.engine.planning.plan import Plan
from napari_restore.errors import RecipeError
from napari_restore.ways_out import WayOut
from napari_restore.wording import human_bytes

__all__ = ["adapting_bytes", "check_memory"]

_GRADIENT = 9
"""Working memory of a training step, relative to that of restoring as many pixels: all values between layers are kept
for the gradient. Measured: 8.6 for the bundled Restormer, 5.7 for the bundled SwinIR."""
_CROP = 13
"""Bytes per pixel of a crop: values, variances and the neighbouring plane as float32, and a mask."""
_WEIGHTS = 3
"""Copies of the weights: those of a step, their gradients, and those that are written."""


def adapting_bytes(plan: Plan, batch: int, crop: int) -> int:
    """Return the maximum host memory of an adaptation, in bytes.

    Parameters
    ----------
    plan : Plan
        Plan of a run of the parent on the source.
    batch : int
        Number of crops in a training step.
    crop : int
        Their side in pixels. Crops that are read are up to twice as long.
    """
    from napari_restore.models.zoo import weights_size

    card = plan.card
    weights = max(4 * (card.parameters or 0), weights_size(card))
    kept = MOST * card.in_channels * (2 * crop) ** 2 * _CROP
    step = max(_GRADIENT * batch * crop**2, (2 * crop) ** 2) * card.bytes_per_pixel if plan.device.is_cpu else 0
    return LIBRARIES + max(sample_bytes(plan.image), kept + step + _WEIGHTS * weights)


def check_memory(plan: Plan, batch: int, crop: int) -> int:
    """Refuse an adaptation that does not fit the memory; return what it takes, in bytes.

    Parameters
    ----------
    plan, batch, crop
        See `adapting_bytes`.

    Raises
    ------
    RecipeError
        If it takes more memory than there is. The message says how much, and what to change.
    """
    needed = adapting_bytes(plan, batch, crop)
    limit, what = memory_limit(plan.recipe.memory_budget, free_memory(CPU))
    if needed <= limit:
        return needed
    raise RecipeError(
        f"adapting {plan.card.name} takes {human_bytes(needed)}, more than the {what}: a step keeps all values between "
        f"the layers for {batch} crops of {crop} x {crop} pixels",
        WayOut(
            "use a smaller model, or allow more memory with memory_budget=.",
            "use a smaller model, or allow more with --memory.",
            "choose a smaller model, or allow more Memory.",
        ),
    )

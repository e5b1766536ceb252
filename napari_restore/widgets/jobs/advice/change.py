"""Say in one line what a run will change: channels, planes, bytes, place and time."""

from __future__ import annotations

__all__ = ["change_of"]

import math
from typing import TYPE_CHECKING

from napari_restore.wording import counted, human_bytes, human_duration

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.widgets.jobs.preflight import Preflight


def change_of(found: Preflight, *, to_disk: bool) -> str:
    """Return what a run will change.

    Parameters
    ----------
    found : Preflight
        The preflight of the run.
    to_disk : bool
        Whether the result is stored as an OME-Zarr.
    """
    plan = found.plan
    if found.stored_blocks == plan.blocks:
        return "Will change nothing: the result is complete."
    size = human_bytes(found.stored_bytes if to_disk else plan.output_bytes)
    left = 1 - found.stored_blocks / plan.blocks
    rest = f", {100 * left:.0f} % of it left" if found.stored_blocks else ""
    time = _time(found, left)
    return f"Will change: {_planes(plan)}, {size} → {'OME-Zarr' if to_disk else 'memory'}{rest}, {time}."


def _planes(plan: Plan) -> str:
    sizes = plan.image.sizes
    planes = math.prod(sizes.get(axis, 1) for axis in "TZ")
    channels = sizes.get("C", 1)
    if planes == 1 and channels == 1:
        return f"{sizes['Y']} × {sizes['X']} pixels"
    each = [counted(channels, "channel")] if channels > 1 else []
    return " × ".join([*each, counted(planes, "plane")])


def _time(found: Preflight, left: float) -> str:
    seconds = found.report.seconds
    if seconds is None:
        return "time not known yet" if found.measuring else "time known after the download"
    return f"about {human_duration(seconds * left)} on {found.plan.recipe.device}"

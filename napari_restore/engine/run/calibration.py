"""Calibrate the uncertainty of a run when it starts."""

from __future__ import annotations

from pathlib import Path

from napari_restore.engine.compute.calibrating import calibrated
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.store.resume import check_output, continues, stored_recipe

__all__ = ["with_calibration"]


def with_calibration(plan: Plan, output: str | Path, *, overwrite: bool) -> Plan:
    """Return a plan with the calibration of its uncertainty: that of the run that is resumed, or a new one.

    Parameters
    ----------
    plan : Plan
        The run.
    output : str or Path
        The output, a path or URL.
    overwrite : bool
        Whether an existing Zarr may be replaced.

    Returns
    -------
    Plan
        The same plan if it has a calibration, or needs none.

    Raises
    ------
    RestoreError
        If the plan does not fit the output, or the uncertainty cannot be calibrated.
    """
    if not plan.recipe.uncertainty or plan.recipe.calibration is not None:
        return plan
    stored = stored_recipe(output)
    if stored is not None and stored.calibration is not None:
        before = plan.with_settings(calibration=stored.calibration)
        if continues(before, output):
            return before
    if stored is None:
        check_output(plan, output, overwrite=overwrite)  # before the time that calibrating takes
    return calibrated(plan)

"""Looking before a run, and checking after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_restore.api.boundary import bounded
from napari_restore.api.planning import plan as make_plan
from napari_restore.api.settings import DENOISER, Settings
from napari_restore.images.store import as_location

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.engine.compute.estimate import Report
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.record.run_report import RunReport
    from napari_restore.engine.record.verify import Verification
    from napari_restore.engine.store.progress import Progress

__all__ = ["inspect", "report", "run_report", "verify"]


@bounded("looking at")
def inspect(source: Any, *, model: str | Path = DENOISER, **settings: Unpack[Settings]) -> Report:
    """Say what a source is, how noisy it is, and what a run would cost.

    Parameters
    ----------
    source, model, **settings
        See `restore`.

    Returns
    -------
    Report
        Print it. A sample of the source is read, and one tile goes through the network to learn its speed.

    Raises
    ------
    RestoreError
        If the source cannot be opened or the run is not possible.
    """
    from napari_restore.engine.compute.estimate import make_report

    settings.setdefault("on_error", "fill")  # what cannot be read is no reason not to look at the rest
    return make_report(make_plan(source, model=model, **settings))


@bounded("looking at")
def report(plan: Plan, *, timed: bool = True) -> Report:
    """Say how noisy the source of a plan is and how long its run would take: `inspect` for what `plan` has returned.

    Parameters
    ----------
    plan
        What `plan` has returned.
    timed
        Load the network to learn its speed.
    """
    from napari_restore.engine.compute.estimate import make_report

    return make_report(plan, timed=timed)


@bounded("verifying")
def verify(
    output: str | Path,
    *,
    recompute: int = 0,
    repair: bool = False,
    source: Any = None,
    progress: Callable[[Progress], None] | None = None,
) -> Verification:
    """Check a stored result, and mend it.

    Parameters
    ----------
    output
        An OME-Zarr that this package wrote.
    recompute
        How many blocks, evenly spread, are computed anew and compared with what is stored; needs the source.
    repair
        Compute exactly the missing and bad objects anew; needs the source.
    source
        Where the source is, if it is not where it was (or was an array in memory).
    progress
        Called with a `Progress` while repairing.

    Returns
    -------
    Verification
        Print it. After a repair, what a second look found. It is written into the report of the run (`run_report`).

    Raises
    ------
    OutputError
        If `output` is no such result, or the source is needed and not there.
    """
    from napari_restore.engine.record.verify import record_verification, repair_metadata, repair_output, verify_output

    found = verify_output(as_location(output), recompute=recompute, source=source)
    if repair and found.metadata:
        repair_metadata(as_location(output))
        found = verify_output(as_location(output), recompute=recompute, source=source)
    if repair and found.bad:
        for event in repair_output(found, source=source):
            if progress is not None:
                progress(event)
        found = verify_output(as_location(output), recompute=recompute, source=source)
    record_verification(found)
    return found


@bounded("reading the report of")
def run_report(output: str | Path) -> RunReport:
    """Read the report that is kept beside a stored result: who made it when from what, how fast, and what went wrong.

    Parameters
    ----------
    output
        An OME-Zarr that this package wrote, or the folder of a batch.

    Returns
    -------
    RunReport
        Print it: a page in Markdown. Its `content` is the JSON.

    Raises
    ------
    OutputError
        If there is no report of it.
    """
    from napari_restore.engine.record.batch_report import read_batch_report
    from napari_restore.engine.record.run_report import read_report

    return read_batch_report(output) or read_report(output)

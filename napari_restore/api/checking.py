"""Estimate a run before it starts, and check its result afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_restore.api.boundary import bounded
from napari_restore.api.planning import plan as make_plan
from napari_restore.api.settings import DENOISER, Settings, describes_settings
from napari_restore.images.store import as_location

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.engine.compute.estimate import Report
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.record.run_report import RunReport
    from napari_restore.engine.record.verification import Verification
    from napari_restore.engine.store.progress import Progress

__all__ = ["inspect", "report", "run_report", "verify"]


@bounded("inspecting")
@describes_settings
def inspect(source: Any, *, model: str | Path = DENOISER, **settings: Unpack[Settings]) -> Report:
    """Describe a source, estimate its noise, and estimate what a run would cost.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR. Default:
        `DENOISER`.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`. Values: `intensity`, `value_range`, `noise`, `valid_range`, `fill_values`, `neighbours`, `strength`.
        Result: `dtype`, `chunks`, `shards`, `pyramid`, `ome_version`. How to run: `device`, `batch`, `workers`,
        `on_error`, `fsync`, `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    Report
        Print it. A sample of the source is read, and one tile goes through the network to measure its speed.

    Raises
    ------
    RestoreError
        If the source cannot be opened or the run is not possible.
    """
    from napari_restore.engine.compute.estimate import make_report

    settings.setdefault("on_error", "fill")  # parts that cannot be read do not stop the estimate
    return make_report(make_plan(source, model=model, **settings))


@bounded("inspecting")
def report(plan: Plan, *, timed: bool = True) -> Report:
    """Estimate the noise of the source of a plan and the time of its run: `inspect` for a plan that exists already.

    Parameters
    ----------
    plan : Plan
        Plan that `plan` has returned.
    timed : bool
        Load the network to measure its speed, if no earlier run or preview has.

    Returns
    -------
    Report
        Print it.

    Raises
    ------
    RestoreError
        If the source or the weights cannot be read.
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
    """Verify a stored result, and repair it if asked to.

    Parameters
    ----------
    output : str or Path
        Path or URL of an OME-Zarr that this package wrote.
    recompute : int
        Number of blocks, evenly spread, to compute again and compare with the stored ones; needs the source.
    repair : bool
        Compute exactly the missing, damaged, differing and filled objects again; needs the source.
    source : str, Path, array, sequence of arrays or None
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first. If
        None, the source is where it was during the run. A source that was an array in memory has to be given.
    progress : callable or None
        Called with a `Progress` during a repair.

    Returns
    -------
    Verification
        Print it. After a repair, it is that of a second verification. It is also written to the report of the run
        (`run_report`).

    Raises
    ------
    OutputError
        If `output` is not such a result, or the source is needed and cannot be found.
    """
    from napari_restore.engine.record.verify import record_verification, repair_metadata, repair_output, verify_output

    found = verify_output(as_location(output), recompute=recompute, source=source)
    if repair and found.metadata:
        repair_metadata(as_location(output))
        found = verify_output(as_location(output), recompute=recompute, source=source)
    if repair and (found.bad or found.annotations):
        for event in repair_output(found, source=source):
            if progress is not None:
                progress(event)
        found = verify_output(as_location(output), recompute=recompute, source=source)
    record_verification(found)
    return found


@bounded("reading the report of")
def run_report(output: str | Path) -> RunReport:
    """Read the report of a stored result or a batch: when and from what it was made, how fast, and what went wrong.

    Parameters
    ----------
    output : str or Path
        An OME-Zarr that this package wrote, or the folder of a batch.

    Returns
    -------
    RunReport
        Print it: a page in Markdown. Its `content` is the JSON.

    Raises
    ------
    OutputError
        If there is no report.
    """
    from napari_restore.engine.record.batch_report import read_batch_report
    from napari_restore.engine.record.run_report import read_report

    return read_batch_report(output) or read_report(output)

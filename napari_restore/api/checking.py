"""Estimate a run before it starts, check its result afterwards, and assess how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.api.boundary import bounded
from napari_restore.api.planning import plan as make_plan
from napari_restore.api.settings import DENOISER, Settings, describes_settings
from napari_restore.errors import RecipeError
from napari_restore.images.store import as_location
from napari_restore.progress_bars import counting, follow_run, following

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.assessment.page import Assessment
    from napari_restore.engine.compute.estimate import Report
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.record.report_file import RunReport
    from napari_restore.engine.record.verification import Verification
    from napari_restore.engine.store.progress import Progress
    from napari_restore.images.image import Image
    from napari_restore.intensity.stabilise import CameraNoise

__all__ = ["assess", "inspect", "report", "run_report", "verify"]


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
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

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
    progress: bool | Callable[[Progress], None] | None = True,
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
    progress : bool, callable or None
        During a repair, True shows a bar on standard error, if it is a terminal, or in the notebook, once the repair
        has taken a second; elsewhere nothing is shown. A function is called with a `Progress`. False or None for
        neither.

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
    from napari_restore.engine.store.ending import tidy

    location = as_location(output)
    found = verify_output(location, recompute=recompute, source=source)
    if repair and found.metadata:
        repair_metadata(location)
        found = verify_output(location, recompute=recompute, source=source)
    if repair and (found.bad or found.annotations):
        follow_run(repair_output(found, source=source), progress)
        found = verify_output(location, recompute=recompute, source=source)
    if repair and isinstance(location, Path):
        tidy(location)  # what an earlier repair has left that was killed
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
    from napari_restore.engine.record.report_file import read_report

    return read_batch_report(output) or read_report(output)


@bounded("assessing")
def assess(
    source: Any,
    result: Any,
    output: str | Path | None = None,
    *,
    axes: str | None = None,
    result_axes: str | None = None,
    series: int | str = 0,
    noise: Sequence[float] | Sequence[Sequence[float]] | None = None,
    psf: Any = None,
    wavelength: float | None = None,
    numerical_aperture: float | None = None,
    regions: Any = None,
    tolerance: float = 0.05,
    significance: float = 1e-4,
    overwrite: bool = False,
    workers: int = 2,
    progress: bool | Callable[[int, int], None] | None = True,
) -> Assessment:
    """Assess how far a result can be trusted, made by this package or by another tool.

    What was removed, source minus result, is compared with what photon and read noise allow: spots and filaments in it,
    a share of the local contrast of the result, agreement with neighbouring planes. Sums over regions before and after
    are compared, and resolution is estimated. Source and result are read block by block and may be of any size.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        The noisy image: any source that `denoise` takes.
    result : str, Path, array or sequence of arrays
        The restored image, of the same shape; Y and X may be longer by a whole number. If its values have other units
        (0 to 1, for example), a line is fitted to them, which the report says.
    output : str, Path or None
        Folder or URL for two maps in a Zarr group, `residual` and `significance`, and the report, ``assessment.json``
        and ``assessment.md``. If None: the group ``assessment`` in the OME-Zarr of `result`, if this package wrote it;
        else nothing is stored, and the maps of a result in memory are returned as arrays.
    axes, result_axes : str or None
        One letter of TCZYXS per dimension of source and result. If None, from their metadata; for a result without,
        those of the source.
    series : int or str
        Number or name of the image in a source that has several.
    noise : sequence of float, or sequence of these, or None
        Gain (data units per photon), offset and read noise (data units) of the source; one triple for all channels or
        one per channel. If None, they are estimated.
    psf : array_like, float or None
        Point spread function between result and source, in pixels of the result: a plane with odd sides, or the
        standard deviation of a Gaussian. If None, there is none for denoised images, and a Gaussian is fitted for
        super-resolved ones.
    wavelength : float or None
        Wavelength of the emitted light, in micrometers, for the cut-off of the optics.
    numerical_aperture : float or None
        Numerical aperture of the objective, for the cut-off of the optics.
    regions : str, Path, array or None
        Labels image with the Y and X of the source (axes that it does not have are repeated), 0 for background: sums
        over its regions are compared. If None, over squares of 64 pixels.
    tolerance : float
        Share of the local contrast, 0 to less than 1, by which a result may deviate.
    significance : float
        Probability below which a window of 16 x 16 pixels is flagged.
    overwrite : bool
        Replace an assessment at `output`; one that was interrupted is replaced in any case.
    workers : int
        Number of blocks in progress, 1 or more.
    progress : bool, callable or None
        True shows a bar on standard error, if it is a terminal, or in the notebook, once the call has taken a second;
        elsewhere nothing is shown. A function is called with the number of blocks that are done, and of all. False or
        None for neither.

    Returns
    -------
    Assessment
        Print it. `line` is the outcome in one line, `places` is what to look at, the least probable first.

    Raises
    ------
    RestoreError
        If source and result do not belong together, the noise cannot be estimated, nothing was removed, a setting is
        wrong, or the output cannot be written.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = 200 + 100 * np.sin(np.arange(128) / 9) * np.ones((128, 1))
    >>> noisy = rng.poisson(truth).astype(np.uint16)
    >>> truth[40:44, 30:90] += 60  # what was never recorded
    >>> found = assess(noisy, truth, axes="YX")
    >>> found.places[0].added, found.places[0].kind
    (True, 'structure')
    """
    from napari_restore.assessment.assess import Request, assess_images
    from napari_restore.assessment.blocks import Settings as Tests
    from napari_restore.images.opening import open_image

    if workers < 1:
        raise RecipeError(f"{workers} blocks in progress are too few; use 1 or more.")
    before = open_image(source, axes=axes, series=series)
    after = open_image(result, axes=result_axes or _axes_of(result, before))
    request = Request(
        _cameras(noise, before.sizes.get("C", before.sizes.get("S", 1))), psf, wavelength, numerical_aperture,
        None if regions is None else open_image(regions, axes=_axes_of(regions, before)),
        Tests(tolerance, significance), workers,
    )  # fmt: skip
    place = None if output is None else str(as_location(output))
    in_memory = after.location is None and isinstance(after.data, np.ndarray)
    with following(progress, counting("assessing")) as follow:
        return assess_images(
            before, after, request, output=place, in_memory=in_memory, overwrite=overwrite, progress=follow
        )


def _axes_of(array: Any, source: Image) -> str | None:
    """Return axes for an array without metadata: those of the source, or its last ones."""
    shape = getattr(array, "shape", None)
    if isinstance(array, str | Path) or shape is None or hasattr(array, "dims") or len(shape) > len(source.axes):
        return None
    axes = source.axes[-len(shape) :] if not source.axes.endswith("S") or len(shape) == len(source.axes) else "YX"
    return axes if len(axes) == len(shape) else None


def _cameras(
    noise: Sequence[float] | Sequence[Sequence[float]] | None, channels: int
) -> tuple[CameraNoise, ...] | None:
    """Return the noise of each channel, or one for all."""
    if noise is None:
        return None
    from napari_restore.intensity.stabilise import CameraNoise

    try:
        numbers = np.atleast_2d(np.asarray(noise, np.float64))
    except (TypeError, ValueError):
        numbers = np.zeros((0, 0))
    if numbers.ndim != 2 or numbers.shape[1:] != (3,) or len(numbers) not in (1, channels):
        raise RecipeError(
            f"noise {noise!r} is not gain, offset and read noise; give three numbers, or three for each of "
            f"{channels} channels."
        )
    return tuple(CameraNoise(*(float(number) for number in row)) for row in numbers)

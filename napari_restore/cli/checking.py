"""Commands that describe a source and check a result: ``info``, ``verify``, ``report`` and ``assess``."""

from __future__ import annotations

__all__ = ["assess", "info", "report", "verify"]

import json
from typing import Annotated

import typer

from napari_restore.cli.options import Overwrite, Source, given
from napari_restore.cli.screen import out
from napari_restore.models.defaults import DENOISER


def info(
    context: typer.Context,
    source: Source,
    model: Annotated[str, typer.Option(help="Model whose run is planned.")] = DENOISER,
) -> None:
    """Print what SOURCE is, how noisy it is, and what a run would cost."""
    from napari_restore import api

    report = api.inspect(source, model=model, **given(context))
    out.print(str(report))


def verify(
    output: Annotated[str, typer.Argument(help="OME-Zarr that a run has written, a path or URL.")],
    recompute: Annotated[int, typer.Option(min=0, help="Number of blocks to compute again and compare.")] = 0,
    repair: Annotated[bool, typer.Option("--repair", help="Compute bad objects again.")] = False,
    source: Annotated[str | None, typer.Option(help="Where the source is now, if it has moved.")] = None,
) -> None:
    """Read back every stored object of OUTPUT; exit code 1 if any is bad."""
    from napari_restore import api

    found = api.verify(output, recompute=recompute, repair=repair, source=source)
    out.print(str(found))
    raise typer.Exit(0 if found.ok else 1)


def report(
    output: Annotated[str, typer.Argument(help="OME-Zarr that a run has written, or the folder of a batch.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the page.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Show the page with pictures in a web browser.")] = False,
) -> None:
    """Print the report of the run that wrote OUTPUT: when, from which source, how fast, and what went wrong."""
    from napari_restore import api

    found = api.run_report(output)
    if show:
        out.print(found.open())
        return
    out.print(json.dumps(found.content, indent=1) if as_json else str(found))


def assess(
    source: Source,
    result: Annotated[str, typer.Argument(help="Restored image, made by this package or by another tool.")],
    output: Annotated[
        str | None,
        typer.Option(help="Folder or URL for maps and report.", show_default="in RESULT, if this package wrote it"),
    ] = None,
    axes: Annotated[str | None, typer.Option(help="Axes of SOURCE, one letter of TCZYXS each.")] = None,
    result_axes: Annotated[str | None, typer.Option(help="Axes of RESULT.")] = None,
    series: Annotated[str, typer.Option(help="Number or name of the image in SOURCE.")] = "0",
    noise: Annotated[
        str | None,
        typer.Option(help="Gain, offset and read noise of SOURCE, separated by commas.", show_default="estimated"),
    ] = None,
    psf: Annotated[
        float | None,
        typer.Option(help="Standard deviation of the Gaussian between RESULT and SOURCE, in pixels of RESULT."),
    ] = None,
    wavelength: Annotated[float | None, typer.Option(help="Of the emitted light, in micrometers.")] = None,
    numerical_aperture: Annotated[float | None, typer.Option(help="Of the objective.")] = None,
    regions: Annotated[str | None, typer.Option(help="Labels image of regions whose sums are compared.")] = None,
    tolerance: Annotated[float, typer.Option(help="Share of the local contrast that may be lost or added.")] = 0.05,
    significance: Annotated[float, typer.Option(help="Probability below which a window is flagged.")] = 1e-4,
    workers: Annotated[int, typer.Option(min=1, help="Blocks in progress.")] = 2,
    overwrite: Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the page.")] = False,
) -> None:
    """Assess how far RESULT can be trusted, and whether what was removed from SOURCE is noise alone."""
    from napari_restore import api

    try:
        numbers = None if noise is None else [float(number) for number in noise.split(",")]
    except ValueError:
        raise typer.BadParameter("write three numbers, such as 2.1,100,3") from None
    found = api.assess(
        source, result, output,
        axes=axes, result_axes=result_axes, series=int(series) if series.isdecimal() else series, noise=numbers,
        psf=psf, wavelength=wavelength, numerical_aperture=numerical_aperture, regions=regions, tolerance=tolerance,
        significance=significance, workers=workers, overwrite=overwrite,
    )  # fmt: skip
    out.print(json.dumps(found.content, indent=1) if as_json else str(found))
    if found.location is not None and not as_json:
        out.print(f"Maps and report: {found.location}")

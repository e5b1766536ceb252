"""Commands that describe a source and check a result: ``info``, ``verify`` and ``report``."""

from __future__ import annotations

__all__ = ["info", "report", "verify"]

import json
from typing import Annotated

import typer

from napari_restore.cli.options import Source, given
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
) -> None:
    """Print the report of the run that wrote OUTPUT: when, from which source, how fast, and what went wrong."""
    from napari_restore import api

    found = api.run_report(output)
    out.print(json.dumps(found.content, indent=1) if as_json else str(found))

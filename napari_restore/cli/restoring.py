"""Commands that restore: ``denoise`` and ``upscale``."""

from __future__ import annotations

__all__ = ["denoise", "upscale"]

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_restore import api
from napari_restore.cli.options import Overwrite, Quiet, Source, takes_settings
from napari_restore.cli.screen import downloads, errors, follow, out

Output = Annotated[Path, typer.Argument(help="OME-Zarr to write; one that was begun is continued.")]


def _run(source: str, output: Path, model: str | Path, *, quiet: bool, overwrite: bool, settings: Any) -> None:
    """Plan, say what will run, and run it."""
    with downloads(str(model), quiet) as show:
        plan = api.plan(source, model=model, output=output, overwrite=overwrite, download=show, **settings)
    if not quiet:
        errors.print(str(plan), markup=False)
    follow(api.run(plan, output, overwrite=overwrite), quiet)
    if not quiet:
        out.print(str(output))


@takes_settings
def denoise(
    source: Source,
    output: Output,
    model: Annotated[str, typer.Option(help="Name of a model, or path of a checkpoint.")] = api.DENOISER,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Denoise SOURCE into the OME-Zarr OUTPUT. Interrupted, the same command goes on."""
    _run(source, output, model, quiet=quiet, overwrite=overwrite, settings=settings)


@takes_settings
def upscale(
    source: Source,
    output: Output,
    scale: Annotated[int, typer.Option(help="How many times as long Y and X become.")] = 2,
    model: Annotated[str | None, typer.Option(help="Name of a model, or path of a checkpoint.")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    **settings: Any,
) -> None:
    """Super-resolve SOURCE into the OME-Zarr OUTPUT. Interrupted, the same command goes on."""
    _run(source, output, api.upscaler(scale, model), quiet=quiet, overwrite=overwrite, settings=settings)

"""Command that adapts a model to noisy images: ``adapt``."""

from __future__ import annotations

__all__ = ["adapt"]

from typing import TYPE_CHECKING, Annotated

import typer

from napari_restore.cli.options import Quiet, Source, given
from napari_restore.cli.screen import adapting, downloads, out
from napari_restore.models.defaults import DENOISER

if TYPE_CHECKING:
    pass


def adapt(
    context: typer.Context,
    source: Source,
    output: Annotated[str, typer.Option("--output", "-o", help="Weights to write, a .safetensors file.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name of a denoiser, or path of a checkpoint.")
    ] = DENOISER,
    clean: Annotated[
        str | None, typer.Option(help="Clean images of the same fields, of the same shape and units.")
    ] = None,
    method: Annotated[str, typer.Option(help="auto, r2r, noise2void, noise2noise or supervised.")] = "auto",
    minutes: Annotated[float | None, typer.Option(help="Budget.", show_default="5 on a CPU, 1 on a GPU")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps, instead of a budget.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing weights, and forget an interrupted adaptation.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Adapt a denoiser to the noisy SOURCE; weights are stored only if that has helped on crops set aside.

    The same command resumes an adaptation that was interrupted. That it did not help is a result, with exit code 0.
    """
    from napari_restore import api

    with downloads(model, quiet) as show:
        api.fetch(model, show)
    with adapting(quiet) as show:
        found = api.adapt(
            source, output, model=model, clean=clean, method=method, minutes=minutes, steps=steps, seed=seed,
            overwrite=overwrite, progress=show, **given(context),
        )  # fmt: skip
    if not quiet:
        out.print(str(found))

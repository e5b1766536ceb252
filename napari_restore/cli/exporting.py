"""Command that exports a model for other programs: ``export``."""

from __future__ import annotations

__all__ = ["export"]

from pathlib import Path
from typing import Annotated

import typer

from napari_restore.cli.options import given
from napari_restore.cli.screen import out
from napari_restore.errors import RecipeError


def export(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Name of a model, or path of a checkpoint.")],
    output: Annotated[Path, typer.Argument(help="New file: .zip for bioimage.io, .onnx for ONNX.")],
    format: Annotated[str, typer.Option(help="bioimageio or onnx.")] = "bioimageio",
    author: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Author of the weights, once or several times."),
    ] = None,
    tile: Annotated[
        int | None, typer.Option(help="Side of a tile in pixels, for onnx.", show_default="that of the model")
    ] = None,
) -> None:
    """Export MODEL for other programs: as a package of bioimage.io with test images, or as ONNX."""
    from napari_restore import api

    if format not in ("bioimageio", "onnx"):
        raise RecipeError(f"--format {format} is not a format of models; use bioimageio or onnx.")
    if format == "onnx":
        if author:
            raise RecipeError("an ONNX file names no authors; leave out --author, or use --format bioimageio.")
        api.export_onnx(model, output, tile=tile, **given(context))
    else:
        if tile is not None:
            raise RecipeError("a package of bioimage.io takes any tiles; leave out --tile, or use --format onnx.")
        api.export_bioimageio(model, output, authors=author or (), **given(context))
    out.print(str(output))

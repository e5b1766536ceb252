"""The command line ``napari-restore``: each command is one call of `napari_restore.api`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from napari_restore import __version__
from napari_restore.cli.checking import info, report, verify
from napari_restore.cli.models import models_app
from napari_restore.cli.options import given, with_settings
from napari_restore.cli.restoring import batch, denoise, upscale
from napari_restore.cli.screen import errors, out
from napari_restore.errors import RestoreError

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Denoise and super-resolve images of any size with Restormer and SwinIR.",
)
app.command(cls=with_settings())(denoise)
app.command(cls=with_settings())(upscale)
app.command(cls=with_settings())(batch)
app.command(cls=with_settings("axes", "level", "series", "device"))(info)
app.command()(verify)
app.command()(report)
app.add_typer(models_app, name="models")


@app.command(cls=with_settings("device"))
def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder for the result.")] = Path("napari-restore-demo"),
) -> None:
    """Denoise the bundled real image; write an OME-Zarr and a picture, and print figures."""
    from napari_restore.demo import run_demo

    result = run_demo(folder, **given(context))
    table = Table(
        "channel", "PSNR noisy", "PSNR restored", "gain", "SSIM noisy", "SSIM restored", box=None, pad_edge=False
    )
    for name, (before, after, ssim_before, ssim_after) in result.scores.items():
        gain = f"{after - before:+.2f} dB"
        table.add_row(name, f"{before:.2f} dB", f"{after:.2f} dB", gain, f"{ssim_before:.3f}", f"{ssim_after:.3f}")
    out.print(table)
    out.print(f"{result.zarr}\n{result.picture}")


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def main(run: Callable[[], None] = app) -> None:
    """Entry point: errors of ours are one line and exit code 2; an interrupted run says how to go on."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        run()
    except RestoreError as error:
        errors.print(f"napari-restore: {' '.join(str(error).split())}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print(
            "napari-restore: stopped; blocks that are stored stay, the same command (without --overwrite) goes on."
        )
        sys.exit(130)

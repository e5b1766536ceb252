"""The command line ``napari-restore``: each command is one call of `napari_restore.api`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
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
app.command(cls=with_settings("axes", "level", "series", "device", "allow_outside"))(info)
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


class _Stopped(BaseException):
    """The user, or the system, has asked for the end. Typer would take a `KeyboardInterrupt` for itself."""


class _Interrupts:
    """The first one stops a run in order, which takes as long as the tiles in progress; the third ends it at once."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: object) -> None:
        self.count += 1
        if self.count == 1:
            raise _Stopped
        if self.count == 2:
            note = b"napari-restore: stops when the tiles in progress are done; once more ends it at once\n"
            with contextlib.suppress(OSError):
                os.write(2, note)
            return
        os._exit(130)  # as safe as being killed: the next run takes over the lock


def main(run: Callable[[], None] = app) -> None:
    """Entry point: an error is one line and exit code 2; an interrupted run says how to go on.

    With ``NAPARI_RESTORE_TRACEBACK=1`` in the environment the traceback is printed as well.
    """
    interrupts = _Interrupts()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupts)
    try:
        run()
    except RestoreError as error:
        _tell(error, str(error))
        sys.exit(2)
    except _Stopped:
        errors.print(
            "napari-restore: stopped; blocks that are stored stay, the same command (without --overwrite) goes on."
        )
        sys.exit(130)
    except OSError as error:  # the functions behind the commands raise none
        _tell(error, f"standard output cannot be written: {error}; what was made is there.")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would try once more at its end
        sys.exit(1)
    except Exception as error:
        _tell(
            error,
            f"a fault in the command line ({type(error).__name__}: {error}); please report it with the traceback, "
            "which NAPARI_RESTORE_TRACEBACK=1 shows.",
        )
        sys.exit(2)
    finally:
        _flush_errors()


def _flush_errors() -> None:
    """Write what is left for standard error; where that is full, Python would fail with it at its end."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _tell(error: Exception, text: str) -> None:
    if os.environ.get("NAPARI_RESTORE_TRACEBACK"):
        traceback.print_exception(error)
    errors.print(f"napari-restore: {' '.join(text.split())}")

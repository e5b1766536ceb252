"""The command line ``napari-restore``. Each command calls one function of `napari_restore.api`."""

from __future__ import annotations

import atexit
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
from napari_restore.cli.adapting import adapt
from napari_restore.cli.checking import assess, info, report, verify
from napari_restore.cli.exporting import export
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
_OF_ADAPTING = (
    "axes", "level", "series", "img_range", "mean", "intensity", "value_range", "noise", "valid_range", "fill_values",
    "neighbours", "device", "on_error", "memory_budget", "allow_outside",
)  # fmt: skip
app.command(cls=with_settings(*_OF_ADAPTING))(adapt)
app.command(cls=with_settings("img_range", "mean"))(export)
app.command()(verify)
app.command()(report)
app.command()(assess)
app.add_typer(models_app, name="models")


@app.command(cls=with_settings("device"))
def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder for the result.")] = Path("napari-restore-demo"),
) -> None:
    """Denoise the bundled real image, write an OME-Zarr and a picture, and print PSNR and SSIM."""
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
def doctor() -> None:
    """Print what a report of a fault should say: versions, extras, devices, back ends, folders, state of the plugin."""
    from napari_restore.doctor import examine

    found = list(examine())
    for finding in found:
        out.print(f"{finding.what}: {finding.state}" if finding.good else f"{finding.what}: ! {finding.state}")
    if not all(finding.good for finding in found):
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__)


class _Stopped(BaseException):
    """The user or the system has asked the process to stop. Typer would catch a `KeyboardInterrupt`."""


class _Interrupts:
    """Signal handler: the first signal stops a run, the third ends the process at once."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: object) -> None:
        self.count += 1
        if self.count == 1:
            raise _Stopped
        if self.count == 2:
            note = b"napari-restore: stopping; stored blocks are kept. Interrupt once more to end at once\n"
            with contextlib.suppress(OSError):
                os.write(2, note)
            return
        os._exit(130)  # as safe as a kill: the next run takes over the lock


def main(run: Callable[[], None] = app) -> None:
    """Run the command line, and exit with a code.

    An error prints one line and exits with code 2. An interrupted run prints how to resume it and exits with code 130.
    With ``NAPARI_RESTORE_TRACEBACK=1`` in the environment, the traceback is printed as well.

    Parameters
    ----------
    run : callable
        The application.
    """
    interrupts = _Interrupts()
    atexit.register(_ignore_interrupts)  # before others are registered, as the last one is called first
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupts)
    try:
        run()
    except RestoreError as error:
        _print_error(error, error.told("command"))
        sys.exit(2)
    except _Stopped:
        errors.print(
            "napari-restore: stopped; stored blocks stay, and the same command (without --overwrite) resumes the run."
        )
        sys.exit(130)
    except OSError as error:  # the functions of the API raise none
        _print_error(error, f"standard output cannot be written: {error}; results that were written stay.")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would try again when it exits
        sys.exit(1)
    except Exception as error:
        _print_error(
            error,
            f"a fault in the command line ({type(error).__name__}: {error}); please report it with the traceback, "
            "which NAPARI_RESTORE_TRACEBACK=1 shows.",
        )
        sys.exit(2)
    finally:
        _flush_errors()


def _ignore_interrupts() -> None:
    """Ignore further signals. At its very end Python drops its handlers, and a signal would change the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _flush_errors() -> None:
    """Flush standard error. If its disk is full, discard the rest, because Python would fail when it exits."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _print_error(error: Exception, text: str) -> None:
    if os.environ.get("NAPARI_RESTORE_TRACEBACK"):
        traceback.print_exception(error)
    errors.print(f"napari-restore: {' '.join(text.split())}")

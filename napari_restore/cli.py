"""The command line ``napari-restore``: each command is one call of `napari_restore.api`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from napari_restore import __version__, api
from napari_restore.errors import ModelError, RecipeError, RestoreError

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Denoise and super-resolve images of any size with Restormer and SwinIR.",
)
models_app = typer.Typer(no_args_is_help=False)
app.add_typer(models_app, name="models")
# Tables that go into a file or a pipe are not folded to the width of a terminal that is not there.
_out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 250)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)

Source = Annotated[str, typer.Argument(help="TIFF, OME-TIFF, pattern of files, Zarr or OME-Zarr.")]
Output = Annotated[str, typer.Argument(help="OME-Zarr to write, a path or URL; one that was begun is continued.")]
Axes = Annotated[str | None, typer.Option(help="One letter of TCZYXS per axis, if the file does not tell.")]
Level = Annotated[int, typer.Option(help="Resolution level of the source.")]
Series = Annotated[int, typer.Option(help="Image of the source, if it holds several.")]
Tile = Annotated[int | None, typer.Option(help="Side of a tile in pixels; the model's own if left out.")]
Halo = Annotated[int | None, typer.Option(help="Context in pixels at each edge of a tile.")]
Padding = Annotated[str, typer.Option(help="reflect; or authors, to reproduce their tables on whole planes.")]
Range = Annotated[
    tuple[float, float] | None, typer.Option("--range", help="Values that become 0 and 1.", metavar="LOW HIGH")
]
Dtype = Annotated[str, typer.Option(help="Data type of the result: same, uint16, float32, ...")]
Precision = Annotated[str | None, typer.Option(help="float32 or bfloat16; chosen by device and model if left out.")]
Compiled = Annotated[
    bool | None, typer.Option("--compiled/--not-compiled", help="Compile the network first; for long runs if left out.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, mps, cuda:1; cuda for all GPUs, cuda:0,cuda:2 for some.")]
Batch = Annotated[int | None, typer.Option(help="Tiles that go through the network together.")]
Workers = Annotated[int | None, typer.Option(help="Blocks in progress at a time.")]
OnError = Annotated[
    str, typer.Option(help="Source that cannot be read: raise ends the run; fill goes on, and lists it.")
]
Fsync = Annotated[bool, typer.Option("--fsync", help="Stored blocks outlast a power cut.")]
Pyramid = Annotated[bool, typer.Option(help="Write coarser levels as well.")]
OmeVersion = Annotated[str, typer.Option(help="OME-Zarr version: 0.5 or 0.4.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an OME-Zarr that is there.")]
Scheduler = Annotated[str | None, typer.Option(help="Run on the Dask cluster of this scheduler, tcp://host:8786.")]
Resources = Annotated[
    str | None,
    typer.Option(help="What a worker has to offer to take part: GPU=1 (for CUDA without saying so), or none."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def _follow(events: Iterable[Any], quiet: bool) -> None:
    """Show a run as it goes on."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=_errors, disable=quiet or not _errors.is_terminal) as bar:
        task = bar.add_task("restoring", total=None, rate="")
        for event in events:
            tiles = event.stage == "restoring" and event.tiles_total
            done, total = (event.tiles_done, event.tiles_total) if tiles else (event.done, event.total)
            rate = f"{done}/{total} tiles, {event.tiles_per_second:.2f}/s" if tiles else f"{done}/{total} blocks"
            bar.update(task, description=event.stage, completed=done, total=total, rate=rate)


def _fetch(model: str, quiet: bool) -> ModelCard:
    """Show the download of a model, if there is one to be done."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=_errors, disable=quiet or not _errors.is_terminal, transient=True) as bar:
        task = bar.add_task(f"fetching {model}", total=None, visible=False)

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        return api.fetch(model, show)


def _amounts(text: str | None) -> dict[str, float] | None:
    """Read "GPU=1 disk=2"."""
    if text is None or text == "none":
        return None if text is None else {}
    try:
        return {name: float(amount) for name, amount in (part.split("=") for part in text.replace(",", " ").split())}
    except ValueError:
        raise RecipeError(f"--resources {text!r} is not names with amounts, like GPU=1, or none.") from None


def _run(source: str, output: str, quiet: bool, overwrite: bool, **settings: Any) -> None:
    """Plan, say what will run, and run it."""
    settings["value_range"] = settings.pop("range_")
    api.open_image(source, axes=settings["axes"], level=settings["level"], series=settings["series"])
    _fetch(settings["model"], quiet)  # with a progress bar, but not for a source that cannot be opened
    where = {"scheduler": settings.pop("scheduler"), "resources": _amounts(settings.pop("resources"))}
    plan = api.plan(source, output=output, overwrite=overwrite, **where, **settings)
    if not quiet:
        _errors.print(str(plan), markup=False)
    _follow(api.run(plan, output, overwrite=overwrite, **where), quiet)
    if not quiet:
        _out.print(str(output))


@app.command()
def denoise(
    source: Source,
    output: Output,
    model: Annotated[str, typer.Option(help="Name of a model, or path of a checkpoint.")] = api.DENOISER,
    axes: Axes = None,
    level: Level = 0,
    series: Series = 0,
    tile: Tile = None,
    halo: Halo = None,
    padding: Padding = "reflect",
    range_: Range = None,
    dtype: Dtype = "same",
    precision: Precision = None,
    device: Device = "auto",
    batch: Batch = None,
    workers: Workers = None,
    on_error: OnError = "raise",
    fsync: Fsync = False,
    compiled: Compiled = None,
    pyramid: Pyramid = True,
    ome_version: OmeVersion = "0.5",
    overwrite: Overwrite = False,
    scheduler: Scheduler = None,
    resources: Resources = None,
    quiet: Quiet = False,
) -> None:
    """Denoise SOURCE into the OME-Zarr OUTPUT. Interrupted, the same command goes on."""
    _run(**locals())


@app.command()
def upscale(
    source: Source,
    output: Output,
    scale: Annotated[int, typer.Option(help="How many times as long Y and X become.")] = 2,
    model: Annotated[str | None, typer.Option(help="Name of a model, or path of a checkpoint.")] = None,
    axes: Axes = None,
    level: Level = 0,
    series: Series = 0,
    tile: Tile = None,
    halo: Halo = None,
    padding: Padding = "reflect",
    range_: Range = None,
    dtype: Dtype = "same",
    precision: Precision = None,
    device: Device = "auto",
    batch: Batch = None,
    workers: Workers = None,
    on_error: OnError = "raise",
    fsync: Fsync = False,
    compiled: Compiled = None,
    pyramid: Pyramid = True,
    ome_version: OmeVersion = "0.5",
    overwrite: Overwrite = False,
    scheduler: Scheduler = None,
    resources: Resources = None,
    quiet: Quiet = False,
) -> None:
    """Super-resolve SOURCE into the OME-Zarr OUTPUT. Interrupted, the same command goes on."""
    settings = locals()
    settings["model"] = api.upscaler(settings.pop("scale"), model)
    _run(**settings)


@app.command()
def info(
    source: Source,
    model: Annotated[str, typer.Option(help="Model whose run is planned.")] = api.DENOISER,
    axes: Axes = None,
    level: Level = 0,
    series: Series = 0,
    device: Device = "auto",
) -> None:
    """Say what SOURCE is, how noisy it is, and what a run would cost."""
    report = api.inspect(source, model=model, axes=axes, level=level, series=series, device=device)
    _out.print(str(report), markup=False)


@app.command()
def verify(
    output: Annotated[str, typer.Argument(help="OME-Zarr that a run has written.")],
    recompute: Annotated[int, typer.Option(min=0, help="Blocks to compute anew and compare.")] = 0,
    repair: Annotated[bool, typer.Option("--repair", help="Compute bad objects anew.")] = False,
    source: Annotated[str | None, typer.Option(help="Where the source is now, if it has moved.")] = None,
) -> None:
    """Read back every stored object of OUTPUT; exit code 1 if any is bad."""
    found = api.verify(output, recompute=recompute, repair=repair, source=source)
    _out.print(str(found), markup=False)
    raise typer.Exit(0 if found.ok else 1)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models that can be named: the bundled ones, and those that are downloaded on first use."""
    if context.invoked_subcommand is not None:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "task", "scale", "channels", "size", "state", "licence", "trained for"):
        table.add_column(heading, no_wrap=True)
    for card in api.models():
        size = f"{api.weights_size(card) / 1e6:.1f} MB"
        state = api.weights_state(card)
        row = (card.name, card.task, f"x{card.scale}", str(card.in_channels), size, state, card.licence, card.noise)
        table.add_row(*row)
    _out.print(table)


@models_app.command()
def fetch(names: Annotated[list[str], typer.Argument(help="Names of published models.")], quiet: Quiet = False) -> None:
    """Download the weights of published models now, for a machine that will be without a network."""
    for name in names:
        _out.print(f"{_fetch(name, quiet).name}: {api.weights_state(api.fetch(name))}")


ImgRange = Annotated[float | None, typer.Option(help="SwinIR's factor on its input: 255 for the JPEG models, else 1.")]
Mean = Annotated[
    str | None, typer.Option(help="What SwinIR subtracts from its channels: numbers with commas between them.")
]


def _numbers(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(number) for number in text.split(","))
    except ValueError:
        raise ModelError(f"--mean {text!r} is not numbers with commas between them, like 0.45,0.44,0.40.") from None


@models_app.command()
def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A checkpoint, or the name of a model.")],
    img_range: ImgRange = None,
    mean: Mean = None,
) -> None:
    """Print what FILE is: network and hyper-parameters, inferred from its shapes."""
    card = api.model_card(file, img_range=img_range, mean=_numbers(mean))
    _out.print(card.description(), markup=False)


@models_app.command()
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A checkpoint, or the name of a model.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A .safetensors file to write.")],
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    img_range: ImgRange = None,
    mean: Mean = None,
) -> None:
    """Write the weights of FILE alone to OUT, with the hyper-parameters in its metadata."""
    card = api.convert_model(file, target, half=half, img_range=img_range, mean=_numbers(mean))
    _out.print(f"{target}: {api.weights_size(card) / 1e6:.1f} MB")


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder for the result.")] = Path("napari-restore-demo"),
    device: Device = "auto",
) -> None:
    """Denoise the bundled real image; write an OME-Zarr and a picture, and print figures."""
    from napari_restore.demo import run_demo

    result = run_demo(out, device=device)
    table = Table(
        "channel", "PSNR noisy", "PSNR restored", "gain", "SSIM noisy", "SSIM restored", box=None, pad_edge=False
    )
    for name, (before, after, ssim_before, ssim_after) in result.scores.items():
        gain = f"{after - before:+.2f} dB"
        table.add_row(name, f"{before:.2f} dB", f"{after:.2f} dB", gain, f"{ssim_before:.3f}", f"{ssim_after:.3f}")
    _out.print(table)
    _out.print(f"{result.zarr}\n{result.picture}")


@app.command()
def version() -> None:
    """Print the version."""
    _out.print(__version__)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def main(run: Callable[[], None] = app) -> None:
    """Entry point: errors of ours are one line and exit code 2; an interrupted run says how to go on."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        run()
    except RestoreError as error:
        _errors.print(f"napari-restore: {' '.join(str(error).split())}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        _errors.print(
            "napari-restore: stopped; blocks that are stored stay, the same command (without --overwrite) goes on."
        )
        sys.exit(130)

"""Arguments and options that several commands share: each is defined here, once."""

from __future__ import annotations

__all__ = ["Axes", "Device", "ImgRange", "Level", "Mean", "Overwrite", "Quiet", "Series", "Source", "takes_settings"]

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer


def _side(text: str) -> int | tuple[int, ...]:
    """Read "96" or "96,128"."""
    try:
        sides = tuple(int(side) for side in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a side, like 96, nor height and width, like 96,128.") from None
    return sides if len(sides) > 1 else sides[0]


def _numbers(text: str) -> tuple[float, ...]:
    """Read "0.45,0.44,0.40"."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not numbers with commas between them, like 0.45,0.44,0.40.") from None


def _number_or_name(text: str | int) -> int | str:
    """Read "2" as a number and all else as a name."""
    return int(text) if isinstance(text, int) or text.isdecimal() else text


Source = Annotated[str, typer.Argument(help="TIFF, OME-TIFF, pattern of files, Zarr, OME-Zarr, HDF5, Imaris, ...")]
Axes = Annotated[str | None, typer.Option(help="One letter of TCZYXS per axis, if the file does not tell.")]
Level = Annotated[int, typer.Option(help="Resolution level of the source.")]
Series = Annotated[
    Any,
    typer.Option(
        help="Image of the source, if it holds several, by number or name.",
        parser=_number_or_name,
        metavar="NUMBER or NAME",
    ),
]
ImgRange = Annotated[float | None, typer.Option(help="SwinIR's factor on its input: 255 for the JPEG models, else 1.")]
Mean = Annotated[
    Any,
    typer.Option(help="What SwinIR subtracts from its channels.", parser=_numbers, metavar="NUMBER,NUMBER,..."),
]
Tile = Annotated[
    Any,
    typer.Option(help="Side of a tile in pixels; the model's own if left out.", parser=_side, metavar="SIDE or Y,X"),
]
Halo = Annotated[int | None, typer.Option(help="Context in pixels at each edge of a tile.")]
Blend = Annotated[int | None, typer.Option(help="Width in pixels of the hand-over between tiles.")]
Padding = Annotated[str, typer.Option(help="reflect; or authors, to reproduce their tables on whole planes.")]
Range = Annotated[
    tuple[float, float] | None, typer.Option("--range", help="Values that become 0 and 1.", metavar="LOW HIGH")
]
Intensity = Annotated[
    str, typer.Option(help="How values are brought to the network's: auto, percentile, range, poisson-gaussian.")
]
Noise = Annotated[
    tuple[float, float, float] | None,
    typer.Option(help="Of the camera, in data units; estimated if left out.", metavar="GAIN OFFSET READ"),
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
Lanes = Annotated[int | None, typer.Option(help="Batches in the network at a time; a CPU's cores are shared out.")]
Memory = Annotated[
    str | None, typer.Option("--memory", help="Most memory that the run may take, such as 8GB; half of what is free.")
]
Pyramid = Annotated[bool, typer.Option(help="Write coarser levels as well.")]
OmeVersion = Annotated[str, typer.Option(help="OME-Zarr version: 0.5 or 0.4.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an OME-Zarr that is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def _settings(
    *,
    axes: Axes = None,
    level: Level = 0,
    series: Series = 0,
    img_range: ImgRange = None,
    mean: Mean = None,
    tile: Tile = None,
    halo: Halo = None,
    blend: Blend = None,
    padding: Padding = "reflect",
    intensity: Intensity = "auto",
    value_range: Range = None,
    noise: Noise = None,
    dtype: Dtype = "same",
    precision: Precision = None,
    compiled: Compiled = None,
    device: Device = "auto",
    batch: Batch = None,
    workers: Workers = None,
    on_error: OnError = "raise",
    fsync: Fsync = False,
    lanes: Lanes = None,
    memory_budget: Memory = None,
    pyramid: Pyramid = True,
    ome_version: OmeVersion = "0.5",
) -> None:
    """Stand for the settings of `napari_restore.api.Settings`: its parameters are the options of each command."""


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all settings, which it gets as the keyword arguments behind its own.

    typer reads options off a function's signature; the one that it is shown here has those of `_settings` in the place
    of ``**settings``. Options that are left out are left out of the call too: a run that is continued keeps its own.
    """
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = inspect.signature(_settings, eval_str=True).parameters

    def shown(context: typer.Context, **arguments: Any) -> None:
        sources = {name: context.get_parameter_source(name) for name in options}
        left_out = {name for name, source in sources.items() if source is not None and source.name == "DEFAULT"}
        command(**{name: value for name, value in arguments.items() if name not in left_out})

    first = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [first, *(p.replace(kind=p.KEYWORD_ONLY) for p in (*own, *options.values()))]
    shown.__name__, shown.__doc__ = command.__name__, command.__doc__
    shown.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(shown)["__signature__"] = inspect.Signature(parameters)
    return shown

"""The settings that functions of the api take by keyword."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, ParamSpec, TypedDict, TypeVar

from numpy.typing import DTypeLike

from napari_restore.models.defaults import DENOISER, UPSCALERS

__all__ = ["DENOISER", "UPSCALERS", "Settings", "describes_settings"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


# Written by napari_restore.api.write_settings.
class Settings(TypedDict, total=False):
    """Settings that all functions here take by keyword; those left out are chosen and shown by `plan`.

    Attributes
    ----------
    img_range : float or None
        Factor on the input of a SwinIR checkpoint given by path: 255 for the JPEG models, 1 for others. If left out:
        from the checkpoint's metadata, or as published.
    mean : tuple[float, ...] or None
        Values that a SwinIR checkpoint given by path subtracts from its input channels. Unit: range 0 to 1. If left
        out: from the checkpoint's metadata, or as published.
    axes : str or None
        One letter of TCZYXS per axis of the source, in its order: time, channel, depth, height, width, colour sample.
        If left out: from the source's metadata.
    level : int
        Resolution level of the source; 0 is the largest. If left out: 0.
    series : int or str
        Number or name of the image in a source that holds several. If left out: 0.
    tile : int or tuple[int, int] or None
        Side of a tile, or its height and width; a multiple of the model's alignment. Unit: input pixels. If left out:
        by the size of the plane and the memory; the model's own if the result depends on the tile.
    halo : int or None
        Pixels at each inner edge of a tile that the network sees and the result does not take. Unit: input pixels. If
        left out: the model's own.
    blend : int or None
        Width of the band in which two neighbouring tiles are blended. Unit: input pixels. If left out: the model's own.
    padding : {"reflect", "authors"}
        Padding of a plane to a size that the network takes: reflect, or authors, which pads whole planes, without
        tiles, as the test scripts of the networks' authors do. If left out: reflect.
    intensity : {"auto", "percentile", "range", "poisson-gaussian"} or None
        Normalisation of the values: percentile (by an estimated value range), range (by the given value range),
        poisson-gaussian (by the noise), or auto. If left out: by the noise for a denoiser of one noise level, else by
        the value range.
    value_range : Sequence[float] or Sequence[Sequence[float]] or None
        Values that become 0 and 1 for the network; one pair, or one pair per channel. Unit: data units. If left out:
        0.1 and 99.9 percentile of a sample, per channel.
    noise : Sequence[float] or Sequence[Sequence[float]] or None
        Gain (per photon), offset and read noise of the detector; one triple, or one triple per channel. Unit: data
        units. If left out: estimated from a sample.
    valid_range : Sequence[float] or Sequence[Sequence[float]] or {"all"} or None
        Lowest and highest value of the bulk of the image: single pixels outside are missing and stay unchanged, areas
        outside are restored with a range of their own; -inf inf for no limits. Unit: data units. If left out: half a
        range, or eight times the noise, beyond the value range.
    fill_values : float or Sequence[float] or Sequence[Sequence[float]] or {"none"} or None
        Values of areas without data: they are left out of all estimates and stay unchanged; separated by commas,
        channels by semicolons; or none. Unit: data units. If left out: found in a sample, per channel.
    dtype : DTypeLike
        Data type of the result: same as the source, or a NumPy type such as uint16 or float32; values are rounded and
        clipped, never wrapped. If left out: same.
    precision : {"float32", "bfloat16"} or None
        Precision of the network: float32 or bfloat16. If left out: bfloat16 if it is fast on the device and the model
        loses at most 0.02 dB, else float32.
    chunks : tuple[int, ...] or None
        Shape of a chunk of a stored result, in the order of TCZYXS. Unit: pixels of the result. If left out: the
        source's chunks if suitable, else 512 x 512.
    shards : tuple[int, ...] or None
        Shape of a shard, which is one stored object of the result, in the order of TCZYXS. Unit: pixels of the result.
        If left out: the cheapest shape of about 32 MiB.
    pyramid : bool
        Write coarser levels of the result as well. If left out: yes.
    ome_version : {"0.4", "0.5"}
        OME-Zarr version of a stored result: 0.5 (Zarr 3, with shards) or 0.4 (Zarr 2). If left out: 0.5.
    device : str
        Device of the network: auto, cpu, mps or cuda:1; cuda for all GPUs, or cuda:0,cuda:2 for some, with one process
        for each. If left out: auto.
    batch : int or None
        Number of tiles that go through the network together. If left out: by the free memory; 1 on a CPU.
    workers : int or None
        Number of blocks in progress, so that reading, computing and writing overlap. If left out: 3, or fewer if memory
        is short.
    on_error : {"raise", "fill"}
        Action if a part of the source cannot be read: raise ends the run and names the part; fill writes the lower end
        of the value range instead, continues, and lists the parts; a label or table that cannot be copied is left out.
        If left out: raise.
    fsync : bool
        Flush each stored object to the disk before it counts as done, so that a power cut does not lose it. If left
        out: no.
    backend : {"eager", "compiled", "openvino"} or None
        What runs the network: eager (torch as it is), compiled (by torch, in minutes) or openvino (on a CPU). If left
        out: openvino on a CPU that has it, else compiled, where either pays; else eager.
    lanes : int or None
        Number of concurrent batches in the network; on a CPU they share its cores. If left out: one per core of a CPU
        if memory allows, else 1.
    memory_budget : int or str or None
        Maximum memory of the run beyond Python, torch and the weights; a run that cannot fit is refused. Unit: bytes,
        or a text such as 8GB. If left out: half of the free memory.
    threads : int or None
        Number of CPU threads of each concurrent batch. If left out: an equal share of the cores.
    neighbours : str or Mapping[str, object] or None
        Neighbouring planes, in time or depth, that are averaged into each plane where they agree, before the network:
        none, T, Z or TZ, optionally followed by the planes on each side and a strength, like T,3 or T,2,0.8; or auto.
        If left out: for a denoiser, each axis along which planes of a sample agree.
    allow_outside : bool
        Let the source be read from files outside its folder, where it names such files or links lead there. If left
        out: no.
    denoise : str or Path
        Denoiser that runs before a model that super-resolves, in the same run: name of a model, path of a checkpoint,
        auto (the bundled one, if the noise of the image would hurt), or none. If left out: none.
    strength : float
        Share of the restored image in the result, the rest being the source: 0 is the source, 1 the restored image; for
        models that keep the number of pixels. If left out: 1.0.
    attention_window : int or None
        Side of the windows of the image that Restormer sums its attention over, a multiple of 56; 0 to sum it over each
        tile. Unit: input pixels. If left out: the model's own, unless the tile is no multiple of a seventh of it; else
        0.
    missing_values : float or Sequence[float] or Sequence[Sequence[float]] or {"none"} or None
        Values of missing pixels wherever they are, even single ones: they are left out of all estimates and stay
        unchanged; separated by commas, channels by semicolons; or none. Unit: data units. If left out: those that the
        source declares: nodata of GDAL, _FillValue, missing_value.
    ensemble : {1, 8] or None
        Number of orientations of each tile, flipped and rotated, whose results are averaged: 1 or 8; 8 takes eight
        times as long. If left out: 1.
    """

    img_range: float | None
    mean: tuple[float, ...] | None
    axes: str | None
    level: int
    series: int | str
    tile: int | tuple[int, int] | None
    halo: int | None
    blend: int | None
    padding: Literal["reflect", "authors"]
    intensity: Literal["auto", "percentile", "range", "poisson-gaussian"] | None
    value_range: Sequence[float] | Sequence[Sequence[float]] | None
    noise: Sequence[float] | Sequence[Sequence[float]] | None
    valid_range: Sequence[float] | Sequence[Sequence[float]] | Literal["all"] | None
    fill_values: float | Sequence[float] | Sequence[Sequence[float]] | Literal["none"] | None
    dtype: DTypeLike
    precision: Literal["float32", "bfloat16"] | None
    chunks: tuple[int, ...] | None
    shards: tuple[int, ...] | None
    pyramid: bool
    ome_version: Literal["0.4", "0.5"]
    device: str
    batch: int | None
    workers: int | None
    on_error: Literal["raise", "fill"]
    fsync: bool
    backend: Literal["eager", "compiled", "openvino"] | None
    lanes: int | None
    memory_budget: int | str | None
    threads: int | None
    neighbours: str | Mapping[str, object] | None
    allow_outside: bool
    denoise: str | Path
    strength: float
    attention_window: int | None
    missing_values: float | Sequence[float] | Sequence[Sequence[float]] | Literal["none"] | None
    ensemble: Literal[1, 8] | None


# End of what is written.


def describes_settings(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Add each setting to the docstring of a function, as numpydoc's section "Other Parameters".

    The text is that of `Settings`, so `help` describes every keyword and nothing is written twice.

    Parameters
    ----------
    function : Callable
        Function with the keywords ``**settings: Unpack[Settings]``, whose docstring has a section "Raises".

    Returns
    -------
    Callable
        The same function.
    """
    if function.__doc__ and Settings.__doc__:  # Python has none with -OO
        entries = inspect.cleandoc(Settings.__doc__).partition("Attributes\n----------\n")[2]
        before, heading, after = inspect.cleandoc(function.__doc__).rpartition("\nRaises\n------\n")
        function.__doc__ = f"{before}\nOther Parameters\n----------------\n{entries}\n{heading}{after}"
    return function

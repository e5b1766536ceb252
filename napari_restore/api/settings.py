"""The settings that the functions here take by keyword, and the models they use unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from numpy.typing import DTypeLike

__all__ = ["DENOISER", "UPSCALERS", "Settings"]

DENOISER = "restormer-denoise-light"
"""The model that `denoise` uses unless told otherwise."""

UPSCALERS = {2: "swinir-x2-light", 4: "swinir-x4-light"}
"""The models that `super_resolve` uses, by scale."""


# Written by napari_restore.api.write_settings.
class Settings(TypedDict, total=False):
    """Settings that all functions here take by keyword; those left out are chosen and shown by `plan`.

    Attributes
    ----------
    img_range : float or None
        Factor on the input of a SwinIR checkpoint that is given by path: 255 for the JPEG models, 1 for others. If left
        out: from the checkpoint's metadata, or as published.
    mean : tuple[float, ...] or None
        Values that a SwinIR checkpoint given by path subtracts from its input channels. Unit: range 0 to 1. If left
        out: from the checkpoint's metadata, or as published.
    axes : str or None
        One letter of TCZYXS per axis of the source, in its own order: time, channel, depth, height, width, colour
        sample. If left out: from the source's metadata.
    level : int
        Resolution level of the source; 0 is the largest. If left out: 0.
    series : int or str
        Number or name of the image in a source that holds several. If left out: 0.
    tile : int or tuple[int, int] or None
        Side of a tile, or its height and width; a multiple of the model's alignment. Unit: input pixels. If left out:
        the model's own, if it fits the memory.
    halo : int or None
        Context at each inner edge of a tile; it has no weight in the result. Unit: input pixels. If left out: the
        model's own.
    blend : int or None
        Width of the band in which two neighbouring tiles are blended. Unit: input pixels. If left out: the model's own.
    padding : {"reflect", "authors"}
        How a plane is enlarged to a size that the network takes: reflect, or authors, which is the rule of the
        networks' own test scripts for whole planes without tiles. If left out: reflect.
    intensity : {"auto", "percentile", "range", "poisson-gaussian"} or None
        How values are normalised: percentile (by a range that is estimated), range (by the value range that is given),
        poisson-gaussian (by the noise), or auto. If left out: by the noise for a denoiser of one noise level, else by
        the range.
    value_range : Sequence[float] or Sequence[Sequence[float]] or None
        Values that become 0 and 1 for the network; one pair, or one pair per channel. Unit: data units. If left out:
        0.1 and 99.9 percentile of a sample, per channel.
    noise : Sequence[float] or Sequence[Sequence[float]] or None
        Gain (per photon), offset and read noise of the detector; one triple, or one triple per channel. Unit: data
        units. If left out: estimated from a sample.
    valid_range : Sequence[float] or Sequence[Sequence[float]] or {"all"} or None
        Lowest and highest value of the bulk of the image: single pixels beyond are no image and come back as they are,
        areas beyond are restored at a range of their own; -inf inf for no limits. Unit: data units. If left out: half a
        range, or eight times the noise, beyond the value range.
    fill_values : float or Sequence[float] or Sequence[Sequence[float]] or {"none"} or None
        Values that fill areas without being image: they have no say in what is estimated and come back as they are;
        with commas between them, and semicolons between channels, or none. Unit: data units. If left out: found in a
        sample, per channel.
    dtype : DTypeLike
        Data type of the result: same as the source, or a NumPy type such as uint16 or float32; values are rounded and
        clipped, never wrapped. If left out: same.
    precision : {"float32", "bfloat16"} or None
        Precision of the network: float32 or bfloat16. If left out: bfloat16 where the device is fast at it and the
        model loses at most 0.02 dB, else float32.
    chunks : tuple[int, ...] or None
        Shape of a chunk of a stored result, in the order of TCZYXS. Unit: pixels of the result. If left out: the
        source's chunks where they suit, else 512 x 512.
    shards : tuple[int, ...] or None
        Shape of a shard, the object that a stored result is written in, in the order of TCZYXS. Unit: pixels of the
        result. If left out: the cheapest shape of about 32 MiB.
    pyramid : bool
        Write coarser levels of the result as well. If left out: yes.
    ome_version : {"0.4", "0.5"}
        OME-Zarr version of a stored result: 0.5 (Zarr 3, with shards) or 0.4 (Zarr 2). If left out: 0.5.
    device : str
        Where the network runs: auto, cpu, mps or cuda:1; cuda for all GPUs, or cuda:0,cuda:2 for some, with one process
        for each. If left out: auto.
    batch : int or None
        Number of tiles that go through the network together. If left out: by the free memory; 1 on a CPU.
    workers : int or None
        Number of blocks in progress at a time, so that reading, computing and writing overlap. If left out: 3, or fewer
        if memory is short.
    on_error : {"raise", "fill"}
        What happens where the source cannot be read: raise ends the run and names the place; fill writes the lower end
        of the value range there, continues and lists the places. If left out: raise.
    fsync : bool
        Flush each stored object to the disk before it counts as done, so that a power cut loses none. If left out: no.
    backend : {"eager", "compiled", "openvino"} or None
        What runs the network: eager (torch as it is), compiled (by torch, which takes minutes first) or openvino (on a
        CPU, where it is installed). If left out: openvino on a CPU that has it, else compiled, each in runs long enough
        to pay; else eager.
    lanes : int or None
        Number of batches in the network at a time; on a CPU they share its cores. If left out: one per core of a CPU if
        memory allows, else 1.
    memory_budget : int or str or None
        Most memory that the run may take beyond Python, torch and the weights; a run that cannot fit is refused. Unit:
        bytes, or a text such as 8GB. If left out: half of what is free.
    threads : int or None
        Number of threads of the CPU in each lane. If left out: a lane's part of the cores.
    neighbours : str or Mapping[str, object] or None
        Planes beside each one, in time or depth, that are averaged into it where they agree, before the network: none,
        T, Z or TZ; with the planes on each side and a strength behind it if need be, like T,3 or T,2,0.8; or auto. If
        left out: for a denoiser, along each axis where a sample shows planes that agree.
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


# End of what is written.

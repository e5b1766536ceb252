"""The settings that the functions here take by keyword, and the models they use unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["DENOISER", "UPSCALERS", "Settings"]

DENOISER = "restormer-denoise-light"
"""The model that `denoise` uses unless told otherwise."""

UPSCALERS = {2: "swinir-x2-light", 4: "swinir-x4-light"}
"""The models that `super_resolve` uses, by scale."""


class Settings(TypedDict, total=False):
    """Settings that all functions here take by keyword; those left out are chosen and shown by `plan`.

    Attributes
    ----------
    axes : str
        One letter of TCZYXS per axis of the source, in its own order: time, channel, depth, height, width, colour
        sample. Needed where the source's metadata do not tell.
    level, series : int
        Resolution level and image of the source; 0.
    img_range, mean : float, tuple of float
        Of a SwinIR checkpoint given by path, where neither its shapes nor its metadata tell: the factor on the input,
        and what is subtracted from its channels.
    tile : int or (int, int)
        Side of a tile in input pixels, a multiple of the model's alignment.
    halo, blend : int
        Context without weight at a tile's inner edges, and width of the hand-over between tiles, in input pixels.
    padding : {"reflect", "authors"}
        How a plane is enlarged to a size that the network takes; ``"authors"`` is the rule of the networks' own test
        scripts, on whole planes without tiles.
    intensity : {"auto", "percentile", "range", "poisson-gaussian"}
        How values are brought to what the network was trained on: by a range that is estimated or given, or by the
        noise, which is made the same everywhere and brought to the model's. ``"auto"`` takes the noise for a denoiser
        that knows one level of it, and else the range.
    value_range : (float, float) or list of them
        Values in data units that become 0 and 1 for the network; one pair, or one per channel.
    noise : (float, float, float) or list of them
        Gain (data units per photon), offset and read noise (data units) of the detector, for all channels or one per
        channel; estimated if left out.
    dtype : dtype or "same"
        Of the result; ``"same"`` as the source, rounded and clipped.
    precision : {"float32", "bfloat16"}
        Of the network; bfloat16 where the device is fast at it and the model loses at most 0.02 dB by it.
    chunks, shards : tuple of int
        Of a stored result, one length per axis in the order of TCZYXS.
    pyramid : bool
        Whether a stored result gets coarser levels.
    ome_version : {"0.5", "0.4"}
        OME-Zarr version of a stored result.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda:1"``, ``"mps"``; ``"cuda"`` for all GPUs, ``"cuda:0,cuda:2"`` for some: a stored
        result is then made by a process for each.
    batch : int
        Tiles that go through the network together.
    workers : int
        Blocks in progress at a time.
    on_error : {"raise", "fill"}
        Pixels of the source that cannot be read end the run, or are filled and listed.
    fsync : bool
        Whether stored blocks outlast a power cut.
    compiled : bool
        Whether the network is compiled first; where the run is long enough for that to pay.
    lanes : int
        Batches in the network at a time; on a CPU they share out the cores.
    memory_budget : int or str
        Bytes, or a text such as ``"8GB"``, of memory that the run may take; a run that cannot fit is refused.
    """

    axes: str | None
    level: int
    series: int
    img_range: float | None
    mean: tuple[float, ...] | None
    tile: int | tuple[int, int] | None
    halo: int | None
    blend: int | None
    padding: str
    intensity: str | None
    value_range: Any
    noise: Any
    dtype: DTypeLike
    precision: str | None
    chunks: tuple[int, ...] | None
    shards: tuple[int, ...] | None
    pyramid: bool
    ome_version: str
    device: str
    batch: int | None
    workers: int | None
    on_error: str
    fsync: bool
    compiled: bool | None
    lanes: int | None
    memory_budget: int | str | None

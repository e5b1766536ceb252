"""Declare the fields of a recipe: the only place that defines the meaning, unit and control of each setting."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from napari_restore.engine.planning.settings import forms
from napari_restore.engine.planning.settings.earlier_names import backend_read
from napari_restore.engine.planning.settings.neighbours import NONE, Neighbours
from napari_restore.engine.planning.settings.setting import Setting

__all__ = ["Fields"]


class Fields(BaseModel):
    """The fields of `napari_restore.engine.planning.recipe.Recipe`.

    To add a setting, add a field at the end, and run ``python -m napari_restore.api.write_settings``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # fmt: off
    model: Annotated[
        str,
        Setting(
            "Name of a bundled or published model, or path of a checkpoint of Restormer or SwinIR.", "network",
            otherwise="restormer-denoise-light; to upscale, the light SwinIR of the scale", accepts="str | Path",
            control="Model › Model", page="models.md",
        ),
    ]
    img_range: Annotated[
        float | None,
        Setting(
            "Factor on the input of a SwinIR checkpoint given by path: 255 for the JPEG models, 1 for others.",
            "network", otherwise="from the checkpoint's metadata, or as published", page="models.md",
        ),
    ] = None
    mean: Annotated[
        tuple[float, ...] | None,
        Setting(
            "Values that a SwinIR checkpoint given by path subtracts from its input channels.", "network",
            unit="range 0 to 1", otherwise="from the checkpoint's metadata, or as published",
            metavar="NUMBER,NUMBER,...", page="models.md",
        ),
    ] = None
    axes: Annotated[
        str | None,
        Setting(
            "One letter of TCZYXS per axis of the source, in its order: time, channel, depth, height, width, "
            "colour sample.", "source", otherwise="from the source's metadata", control="Input › Axes",
            page="usage.md#sources",
        ),
    ] = None
    level: Annotated[int, Field(ge=0), Setting("Resolution level of the source; 0 is the largest.", "source")] = 0
    series: Annotated[
        Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)],
        Setting(
            "Number or name of the image in a source that holds several.", "source", accepts="int | str",
            metavar="NUMBER or NAME",
        ),
    ] = 0
    tile: Annotated[
        int | tuple[int, int] | None,
        Setting(
            "Side of a tile, or its height and width; a multiple of the model's alignment.", "network",
            unit="input pixels", metavar="SIDE or Y,X",
            otherwise="by the size of the plane and the memory; the model's own if the result depends on the tile",
            control="Performance › Tile", widget="FloatSpinBox",
            options={"max": 4096, "step": 8, "suffix": " px"},
        ),
    ] = None
    halo: Annotated[
        int | None,
        Setting(
            "Pixels at each inner edge of a tile that the network sees and the result does not take.", "network",
            unit="input pixels", otherwise="the model's own",
            control="Performance › Halo", widget="FloatSpinBox", options={"min": 0, "max": 1024, "suffix": " px"},
        ),
    ] = None
    blend: Annotated[
        int | None,
        Setting(
            "Width of the band in which two neighbouring tiles are blended.", "network",
            unit="input pixels", otherwise="the model's own",
            control="Performance › Blend", widget="FloatSpinBox", options={"min": 0, "max": 1024, "suffix": " px"},
        ),
    ] = None
    padding: Annotated[
        Literal["reflect", "authors"],
        Setting(
            "Padding of a plane to a size that the network takes: reflect, or authors, which pads whole planes, "
            "without tiles, as the test scripts of the networks' authors do.", "network",
            control="Performance › Padding", widget="ComboBox",
        ),
    ] = "reflect"
    intensity: Annotated[
        Literal["percentile", "range", "poisson-gaussian"] | None,
        Setting(
            "Normalisation of the values: percentile (by an estimated value range), range (by the given value range), "
            "poisson-gaussian (by the noise), or auto.", "values",
            otherwise="by the noise for a denoiser of one noise level, else by the value range",
            accepts='Literal["auto", "percentile", "range", "poisson-gaussian"] | None',
            control="Values and output › Intensity", page="intensity.md",
        ),
    ] = None
    value_range: Annotated[
        tuple[tuple[float, float], ...] | None,
        Setting(
            "Values that become 0 and 1 for the network; one pair, or one pair per channel.", "values",
            unit="data units", otherwise="0.1 and 99.9 percentile of a sample, per channel",
            accepts="Sequence[float] | Sequence[Sequence[float]] | None", flag="--range", metavar="LOW HIGH",
            control="Values and output › Range",
        ),
    ] = None
    noise: Annotated[
        tuple[tuple[float, float, float], ...] | None,
        Setting(
            "Gain (per photon), offset and read noise of the detector; one triple, or one triple per channel.",
            "values", unit="data units", otherwise="estimated from a sample",
            accepts="Sequence[float] | Sequence[Sequence[float]] | None", metavar="GAIN OFFSET READ",
            control="Values and output › Intensity", page="intensity.md",
        ),
    ] = None
    valid_range: Annotated[
        tuple[tuple[float, float], ...] | None,
        Setting(
            "Lowest and highest value of the bulk of the image: single pixels outside are missing and stay unchanged, "
            "areas outside are restored with a range of their own; -inf inf for no limits.", "values",
            unit="data units", otherwise="half a range, or eight times the noise, beyond the value range",
            accepts='Sequence[float] | Sequence[Sequence[float]] | Literal["all"] | None', metavar="LOW HIGH",
            page="intensity.md", earlier=(), nothing=("-inf", "inf"),
            control="Missing pixels › Valid range", widget="LineEdit",
        ),
    ] = None
    fill_values: Annotated[
        tuple[tuple[float, ...], ...] | None,
        Setting(
            "Values of areas without data: they are left out of all estimates and stay unchanged; separated by commas, "
            "channels by semicolons; or none.", "values",
            unit="data units", otherwise="found in a sample, per channel",
            accepts='float | Sequence[float] | Sequence[Sequence[float]] | Literal["none"] | None',
            metavar="VALUE,VALUE,...", page="intensity.md", earlier=(), nothing=("none",),
            control="Missing pixels › Fill values", widget="LineEdit",
        ),
    ] = None
    dtype: Annotated[
        str,
        Setting(
            "Data type of the result: same as the source, or a NumPy type such as uint16 or float32; values are "
            "rounded and clipped, never wrapped.", "result", accepts="DTypeLike",
            control="Values and output › Type", widget="ComboBox",
            options={"choices": ("same", "uint8", "uint16", "float32")},
        ),
    ] = "same"
    # float16 is not offered, as it overflows in these networks.
    precision: Annotated[
        Literal["float32", "bfloat16"] | None,
        Setting(
            "Precision of the network: float32 or bfloat16.", "network",
            otherwise="bfloat16 if it is fast on the device and the model loses at most 0.02 dB, else float32",
            control="Performance › Precision", widget="ComboBox",
        ),
    ] = None
    chunks: Annotated[
        tuple[int, ...] | None,
        Setting(
            "Shape of a chunk of a stored result, in the order of TCZYXS.", "result", unit="pixels of the result",
            otherwise="the source's chunks if suitable, else 512 x 512", metavar="N,N,...", page="performance.md",
            control="Storage › Chunks", widget="LineEdit",
        ),
    ] = None
    shards: Annotated[
        tuple[int, ...] | None,
        Setting(
            "Shape of a shard, which is one stored object of the result, in the order of TCZYXS.", "result",
            unit="pixels of the result", otherwise="the cheapest shape of about 32 MiB", metavar="N,N,...",
            page="performance.md",
            control="Storage › Shards", widget="LineEdit",
        ),
    ] = None
    pyramid: Annotated[
        bool,
        Setting(
            "Write coarser levels of the result as well.", "result",
            control="Values and output › Pyramid", widget="CheckBox",
        ),
    ] = True
    ome_version: Annotated[
        Literal["0.4", "0.5"],
        Setting(
            "OME-Zarr version of a stored result: 0.5 (Zarr 3, with shards) or 0.4 (Zarr 2).", "result",
            control="Storage › Version", widget="ComboBox",
        ),
    ] = "0.5"
    device: Annotated[
        str,
        Setting(
            "Device of the network: auto, cpu, mps or cuda:1; cuda for all GPUs, or cuda:0,cuda:2 for some, with one "
            "process for each.", "run", page="cluster.md",
            control="Performance › Device", widget="ComboBox", options={"choices": ("auto", "cpu")},
        ),
    ] = "auto"
    batch: Annotated[
        int | None, Field(ge=1),
        Setting(
            "Number of tiles that go through the network together.", "run",
            otherwise="by the free memory; 1 on a CPU", last_bits=True,
            control="Performance › Batch", widget="FloatSpinBox", options={"max": 512, "suffix": " tiles"},
        ),
    ] = None
    workers: Annotated[
        int | None, Field(ge=1),
        Setting(
            "Number of blocks in progress, so that reading, computing and writing overlap.", "run",
            otherwise="3, or fewer if memory is short",
            control="Performance › Workers", widget="FloatSpinBox", options={"max": 64},
        ),
    ] = None
    on_error: Annotated[
        Literal["raise", "fill"],
        Setting(
            "Action if a part of the source cannot be read: raise ends the run and names the part; fill writes the "
            "lower end of the value range instead, continues, and lists the parts; a label or table that cannot be "
            "copied is left out.", "run", page="survival.md",
            control="Missing pixels › On error", widget="ComboBox",
        ),
    ] = "raise"
    fsync: Annotated[
        bool,
        Setting(
            "Flush each stored object to the disk before it counts as done, so that a power cut does not lose it.",
            "run", flag="--fsync", page="survival.md",
            control="Storage › Flush to disk", widget="CheckBox",
        ),
    ] = False
    backend: Annotated[
        Literal["eager", "compiled", "openvino"] | None,
        Setting(
            "What runs the network: eager (torch as it is), compiled (by torch, in minutes) or openvino (on a CPU).",
            "run", otherwise="openvino on a CPU that has it, else compiled, where either pays; else eager",
            page="performance.md#back-ends", last_bits=True,
            control="Performance › Back end", widget="ComboBox",
        ),
    ] = None
    lanes: Annotated[
        int | None, Field(ge=1),
        Setting(
            "Number of concurrent batches in the network; on a CPU they share its cores.", "run",
            otherwise="one per core of a CPU if memory allows, else 1",
            control="Performance › Lanes", widget="FloatSpinBox", options={"max": 256},
        ),
    ] = None
    memory_budget: Annotated[
        int | None, Field(ge=1),
        Setting(
            "Maximum memory of the run beyond Python, torch and the weights; a run that cannot fit is refused.",
            "run", unit="bytes, or a text such as 8GB", otherwise="half of the free memory", accepts="int | str | None",
            flag="--memory",
            control="Performance › Memory", widget="FloatSpinBox",
            options={"max": 8192, "decimals": 1, "factor": 10**9, "suffix": " GB"},
        ),
    ] = None
    threads: Annotated[
        int | None, Field(ge=1),
        Setting(
            "Number of CPU threads of each concurrent batch.", "run", otherwise="an equal share of the cores",
            last_bits=True, page="survival.md",
            control="Performance › Threads", widget="FloatSpinBox", options={"max": 256},
        ),
    ] = None
    neighbours: Annotated[
        Neighbours | None,
        Setting(
            "Neighbouring planes, in time or depth, that are averaged into each plane where they agree, before the "
            "network: none, T, Z or TZ, optionally followed by the planes on each side and a strength, like T,3 or "
            "T,2,0.8; or auto.", "values", otherwise="for a denoiser, each axis along which planes of a sample agree",
            accepts="str | Mapping[str, object] | None", metavar="AXES or AXES,PLANES,STRENGTH", page="neighbours.md",
            earlier=NONE, control="Values and output › Neighbours",
        ),
    ] = None
    allow_outside: Annotated[
        bool,
        Setting(
            "Let the source be read from files outside its folder, where it names such files or links lead there.",
            "run", flag="--allow-outside", page="usage.md#what-a-source-may-read", earlier=False,
        ),
    ] = False
    denoise: Annotated[
        str,
        Setting(
            "Denoiser that runs before a model that super-resolves, in the same run: name of a model, path of a "
            "checkpoint, auto (the bundled one, if the noise of the image would hurt), or none.", "network",
            accepts="str | Path", metavar="MODEL, auto or none", page="quality.md", earlier="none",
            control="Model › Denoise first", widget="ComboBox", options={"choices": ("none", "auto")},
        ),
    ] = "none"
    strength: Annotated[
        float, Field(ge=0, le=1),
        Setting(
            "Share of the restored image in the result, the rest being the source: 0 is the source, 1 the restored "
            "image; for models that keep the number of pixels.", "values", page="usage.md#strength", earlier=1.0,
            control="Values and output › Strength", widget="Slider",
        ),
    ] = 1.0
    attention_window: Annotated[
        int | None, Field(ge=0),
        Setting(
            "Side of the windows of the image that Restormer sums its attention over, a multiple of 56; 0 to sum it "
            "over each tile.", "network", unit="input pixels", page="restormer-tiles.md", earlier=0,
            otherwise="the model's own, unless the tile is no multiple of a seventh of it; else 0",
        ),
    ] = None
    missing_values: Annotated[
        tuple[tuple[float, ...], ...] | None,
        Setting(
            "Values of missing pixels wherever they are, even single ones: they are left out of all estimates and stay "
            "unchanged; separated by commas, channels by semicolons; or none.", "values",
            unit="data units", otherwise="those that the source declares: nodata of GDAL, _FillValue, missing_value",
            accepts='float | Sequence[float] | Sequence[Sequence[float]] | Literal["none"] | None',
            metavar="VALUE,VALUE,...", page="intensity.md", earlier=(), nothing=("none",),
            control="Missing pixels › Missing values", widget="LineEdit",
        ),
    ] = None
    ensemble: Annotated[
        Literal[1, 8] | None,
        Setting(
            "Number of orientations of each tile, flipped and rotated, whose results are averaged: 1 or 8; 8 takes "
            "eight times as long.", "network", otherwise="1", page="usage.md#ensemble", earlier=1,
            control="Performance › Ensemble", widget="ComboBox",
        ),
    ] = None
    # fmt: on

    _earlier_names = model_validator(mode="before")(backend_read)
    _memory_budget = field_validator("memory_budget", mode="before")(forms.size_in_bytes)
    _intensity = field_validator("intensity", mode="before")(forms.open_intensity)
    _neighbours = field_validator("neighbours", mode="before")(forms.named_neighbours)
    _denoise = field_validator("denoise", mode="before")(forms.path_as_text)
    _lists = field_validator("value_range", "noise", mode="before")(forms.list_of_one)
    _limits = field_validator("valid_range", mode="before")(forms.limits)
    _fill = field_validator("fill_values", "missing_values", mode="before")(forms.fill_lists)
    _dtype = field_validator("dtype", mode="before")(forms.data_type)
    _finite = field_validator("fill_values", "missing_values")(forms.checked_fill)
    _rising = field_validator("value_range", "valid_range")(forms.checked_pairs)
    _cameras = field_validator("noise")(forms.checked_cameras)

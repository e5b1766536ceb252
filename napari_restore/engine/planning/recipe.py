"""Define the recipe: all settings that a result depends on, and the settings that say how to run."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_restore.engine.planning.settings import forms
from napari_restore.engine.planning.settings.earlier_names import backend_read, backend_written
from napari_restore.engine.planning.settings.neighbours import NONE, Neighbours
from napari_restore.engine.planning.settings.setting import NEVER, Setting
from napari_restore.errors import RecipeError

__all__ = ["EXECUTION_FIELDS", "SOURCE_FIELDS", "Recipe", "make_recipe", "settings"]


class Recipe(BaseModel):
    """The settings of a run. A field that is None is chosen when the run is planned, and stored with the result.

    The `Setting` in the annotation of a field is the only place that defines its meaning, unit and controls; `settings`
    returns them by name, and ``docs/settings.md`` lists them. To add a setting, add a field at the end, and run
    ``python -m napari_restore.api.write_settings``.
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
            unit="input pixels", otherwise="the model's own, if it fits the memory", metavar="SIDE or Y,X",
            control="Performance › Tile",
        ),
    ] = None
    halo: Annotated[
        int | None,
        Setting(
            "Pixels at each inner edge of a tile that the network sees and the result does not take.", "network",
            unit="input pixels", otherwise="the model's own", control="Performance › Halo",
        ),
    ] = None
    blend: Annotated[
        int | None,
        Setting(
            "Width of the band in which two neighbouring tiles are blended.", "network", unit="input pixels",
            otherwise="the model's own",
        ),
    ] = None
    padding: Annotated[
        Literal["reflect", "authors"],
        Setting(
            "Padding of a plane to a size that the network takes: reflect, or authors, which pads whole planes, "
            "without tiles, as the test scripts of the networks' authors do.", "network",
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
        ),
    ] = None
    dtype: Annotated[
        str,
        Setting(
            "Data type of the result: same as the source, or a NumPy type such as uint16 or float32; values are "
            "rounded and clipped, never wrapped.", "result", accepts="DTypeLike", control="Values and output › Type",
        ),
    ] = "same"
    # float16 is not offered, as it overflows in these networks.
    precision: Annotated[
        Literal["float32", "bfloat16"] | None,
        Setting(
            "Precision of the network: float32 or bfloat16.", "network",
            otherwise="bfloat16 if it is fast on the device and the model loses at most 0.02 dB, else float32",
            control="Performance › Precision",
        ),
    ] = None
    chunks: Annotated[
        tuple[int, ...] | None,
        Setting(
            "Shape of a chunk of a stored result, in the order of TCZYXS.", "result", unit="pixels of the result",
            otherwise="the source's chunks if suitable, else 512 x 512", metavar="N,N,...", page="performance.md",
        ),
    ] = None
    shards: Annotated[
        tuple[int, ...] | None,
        Setting(
            "Shape of a shard, which is one stored object of the result, in the order of TCZYXS.", "result",
            unit="pixels of the result", otherwise="the cheapest shape of about 32 MiB", metavar="N,N,...",
            page="performance.md",
        ),
    ] = None
    pyramid: Annotated[
        bool,
        Setting("Write coarser levels of the result as well.", "result", control="Values and output › Pyramid"),
    ] = True
    ome_version: Annotated[
        Literal["0.4", "0.5"],
        Setting("OME-Zarr version of a stored result: 0.5 (Zarr 3, with shards) or 0.4 (Zarr 2).", "result"),
    ] = "0.5"
    device: Annotated[
        str,
        Setting(
            "Device of the network: auto, cpu, mps or cuda:1; cuda for all GPUs, or cuda:0,cuda:2 for some, with one "
            "process for each.", "run", control="Performance › Device", page="cluster.md",
        ),
    ] = "auto"
    batch: Annotated[
        int | None, Field(ge=1),
        Setting(
            "Number of tiles that go through the network together.", "run",
            otherwise="by the free memory; 1 on a CPU", last_bits=True,
        ),
    ] = None
    workers: Annotated[
        int | None, Field(ge=1),
        Setting("Number of blocks in progress, so that reading, computing and writing overlap.", "run",
                otherwise="3, or fewer if memory is short"),
    ] = None
    on_error: Annotated[
        Literal["raise", "fill"],
        Setting(
            "Action if a part of the source cannot be read: raise ends the run and names the part; fill writes the "
            "lower end of the value range instead, continues, and lists the parts.", "run", page="survival.md",
        ),
    ] = "raise"
    fsync: Annotated[
        bool,
        Setting(
            "Flush each stored object to the disk before it counts as done, so that a power cut does not lose it.",
            "run", flag="--fsync", page="survival.md",
        ),
    ] = False
    backend: Annotated[
        Literal["eager", "compiled", "openvino"] | None,
        Setting(
            "What runs the network: eager (torch as it is), compiled (by torch, in minutes) or openvino (on a CPU).",
            "run", otherwise="openvino on a CPU that has it, else compiled, where either pays; else eager",
            page="performance.md#back-ends", last_bits=True,
        ),
    ] = None
    lanes: Annotated[
        int | None, Field(ge=1),
        Setting("Number of concurrent batches in the network; on a CPU they share its cores.", "run",
                otherwise="one per core of a CPU if memory allows, else 1"),
    ] = None
    memory_budget: Annotated[
        int | None, Field(ge=1),
        Setting(
            "Maximum memory of the run beyond Python, torch and the weights; a run that cannot fit is refused.", "run",
            unit="bytes, or a text such as 8GB", otherwise="half of the free memory", accepts="int | str | None",
            flag="--memory", control="Performance › Memory",
        ),
    ] = None
    threads: Annotated[
        int | None, Field(ge=1),
        Setting("Number of CPU threads of each concurrent batch.", "run", otherwise="an equal share of the cores",
                last_bits=True, page="survival.md"),
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
            control="Model › Denoise first",
        ),
    ] = "none"
    attention_window: Annotated[
        int | None, Field(ge=0),
        Setting(
            "Side of the windows of the image that Restormer sums its attention over, a multiple of 56; 0 to sum it "
            "over each tile.", "network", unit="input pixels", page="restormer-tiles.md", earlier=0,
            otherwise="the model's own, unless the tile is no multiple of a seventh of it; else 0",
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
    _fill = field_validator("fill_values", mode="before")(forms.fill_lists)
    _dtype = field_validator("dtype", mode="before")(forms.data_type)
    _finite = field_validator("fill_values")(forms.checked_fill)
    _rising = field_validator("value_range", "valid_range")(forms.checked_pairs)
    _cameras = field_validator("noise")(forms.checked_cameras)

    def merged(self, stored: Recipe) -> Recipe:
        """Fill fields that were not given from the recipe of an earlier run with the same model.

        A field that is None counts as not given. Of the fields that say how to run, only those that change the last
        bits of a result are filled: another machine has other devices, cores and memory.

        Parameters
        ----------
        stored : Recipe
            Recipe of the earlier run. With another model, nothing is filled.

        Returns
        -------
        Recipe
            The filled recipe.
        """
        if stored.model != self.model:
            return self
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        if self.neighbours and stored.neighbours and self.neighbours.agrees_with(stored.neighbours):
            given.discard("neighbours")
        if self.denoise == "auto" and stored.denoise != "none":
            given.discard("denoise")
        taken = Recipe.model_fields.keys() - (EXECUTION_FIELDS - _KEPT_ON_RESUME) - given
        return Recipe(**{**stored.model_dump(include=taken), **self.model_dump(include=given)})

    def given(self) -> dict[str, Any]:
        """Return the given fields that the stored result depends on, as JSON types, without fields left open."""
        left = {*EXECUTION_FIELDS, "model"}
        return self.model_dump(mode="json", include=self.model_fields_set - left, exclude_defaults=True)

    def pixel_settings(self) -> dict[str, Any]:
        """Return all fields that the stored result depends on, as JSON types."""
        return {name: value for name, value in self._since_earlier().items() if name not in EXECUTION_FIELDS}

    def as_json(self) -> dict[str, Any]:
        """Return all fields as JSON types, as they are stored.

        A field that was added later is left out if it has its `Setting.earlier` value. So recipes and fingerprints of
        earlier results do not change.
        """
        return backend_written(self._since_earlier())

    def _since_earlier(self) -> dict[str, Any]:
        """Return the settings as JSON types, without newer settings whose value means the behaviour before them."""
        return self.model_dump(mode="json", exclude={n for n, value in _EARLIER.items() if getattr(self, n) == value})

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Recipe:
        """Make a recipe from its stored form; settings that its version did not have get their `Setting.earlier` value.

        Parameters
        ----------
        content : dict of str to Any
            Result of `as_json`, in this or an earlier version.
        """
        return cls.model_validate({**_EARLIER, "backend": "eager"} | backend_read(content))


def settings() -> dict[str, Setting]:
    """Return the setting of each field of a recipe, by name, in the order of the fields.

    Raises
    ------
    TypeError
        If the annotation of a field has no `Setting`.
    """
    found = {}
    for name, field in Recipe.model_fields.items():
        setting = next((item for item in field.metadata if isinstance(item, Setting)), None)
        if setting is None:
            raise TypeError(f"field {name!r} of the recipe has no Setting; add one to its annotation.")
        default = None if field.is_required() else field.default
        found[name] = replace(setting, name=name, annotation=field.annotation, default=default)
    return found


SOURCE_FIELDS = frozenset(name for name, setting in settings().items() if setting.group == "source")
"""Fields that select what of a source is restored. They apply to one source only."""
EXECUTION_FIELDS = frozenset(name for name, setting in settings().items() if setting.group == "run")
"""Fields that say how to run. Recipes that differ only in these have the same result."""
_KEPT_ON_RESUME = frozenset(name for name, setting in settings().items() if setting.last_bits)
"""Those of them that a resumed run keeps, as they change the last bits of a result."""

_EARLIER: dict[str, Any] = {
    name: setting.earlier for name, setting in settings().items() if setting.earlier is not NEVER
}
"""For each setting that was added later, the value that reproduces the results of versions without it."""


def make_recipe(**settings: Any) -> Recipe:
    """Make a recipe from keyword arguments.

    Raises
    ------
    RecipeError
        If a setting is unknown or out of its allowed values.
    """
    try:
        return Recipe(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise RecipeError(f"there is no setting {name!r}; use one of {', '.join(Recipe.model_fields)}.") from None
        name = f"{name}={first['input']!r}: " if name else ""
        raise RecipeError(f"{name}{first['msg'].removeprefix('Value error, ')}.") from None

"""Describe the layers that show a result exactly over its source."""

from __future__ import annotations

__all__ = [
    "PREVIEW",
    "LayerData",
    "Result",
    "layer_geometry",
    "result_axes",
    "result_layers",
    "run_of",
    "short_name",
]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.images.axes import transposition
from napari_restore.images.geometry import first_centre
from napari_restore.widgets.jobs.filling import FillingView
from napari_restore.widgets.jobs.job import Job
from napari_restore.widgets.jobs.layers.image_layers import Region, own_metadata, translation_of, whole
from napari_restore.widgets.jobs.layers.stored_view import StoredView
from napari_restore.widgets.jobs.preview import Preview
from napari_restore.widgets.jobs.run import Started

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.models.card import ModelCard

LayerData = tuple[Any, dict[str, Any], str]
"""Data, keyword arguments and type of a layer: napari's layer data tuple."""

PREVIEW = "preview · "
"""Prefix of the layer names of a preview."""

_ARCHITECTURES = {"restormer": "Restormer", "swinir": "SwinIR"}
"""The first word of the names of bundled and published models, as papers write it."""

_COLORMAPS = ("cyan", "magenta", "yellow", "green", "red", "blue")


@dataclass(frozen=True)
class Result:
    """The result of a preview or a run, with the layers that show it.

    Attributes
    ----------
    source : napari.layers.Image
        The layer that was restored.
    axes : str
        One letter of TCZYXS for each axis of its data.
    plan : Plan
        The plan of the result.
    origin : tuple of int
        First row and column of the layers in the plan's result.
    layers : list of (data, dict, str)
        The layers that show it: see `result_layers`.
    preview : bool
        Whether it is a preview.
    whole : bool
        Whether it covers the whole source.
    blending : tuple of str
        Blending of the layers where they cover the source. Until then, the lowest layer is drawn over the source.
    label : str
        Short name of the model, and a number if there are other results of it: ``"Restormer light 2"``.
    run : tuple of str
        What makes runs the same: source, region and fingerprint; or the output. The layers of a run replace those of
        the same run. Empty for a preview.
    """

    source: ImageLayer
    axes: str
    plan: Plan
    origin: tuple[int, int]
    layers: list[LayerData]
    preview: bool = False
    whole: bool = False
    blending: tuple[str, ...] = ()
    label: str = ""
    run: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the result: ``"cells ▸ Restormer light 2"``."""
        return f"{self.source.name} ▸ {self.label}"

    @classmethod
    def of_run(cls, job: Job, started: Started) -> Result:
        """Make the result of a run that has just started; it is still empty."""
        layers = result_layers(job.layer, started.plan, job.region, started.levels)
        blending = _draw_over_source(layers)
        covers = job.region == whole(job.layer)
        output = job.choices.output
        same = (str(job.layer.unique_id), str(job.region), started.plan.fingerprint) if output is None else (output,)
        for _data, arguments, _kind in layers:
            arguments["metadata"]["napari_restore"]["run"] = same
        return cls(
            job.layer, job.axes, started.plan, (0, 0), layers, whole=covers, blending=blending,
            label=short_name(started.plan.card), run=same,
        )  # fmt: skip

    @classmethod
    def of_preview(cls, job: Job, made: Preview) -> Result:
        """Make the result of a preview."""
        layers = result_layers(job.layer, made.plan, made.region, (made.pixels,))
        for _data, arguments, _kind in layers:
            arguments["name"] = f"{PREVIEW}{arguments['name']}"
            arguments["metadata"]["napari_restore"]["preview"] = True
        blending = _draw_over_source(layers)
        label = short_name(made.plan.card)
        return cls(
            job.layer, job.axes, made.plan, made.origin, layers, preview=True, blending=blending, label=label
        )  # fmt: skip

    def among(self, layers: Iterable[Any]) -> Result:
        """Return this result with a number if layers of another run have its name.

        Parameters
        ----------
        layers : iterable of napari.layers.Layer
            The layer list.
        """
        if self.preview:
            return self
        said = map(own_metadata, layers)
        runs = {each["title"]: tuple(each["run"]) for each in said if "title" in each}
        numbered = (self.label if number == 1 else f"{self.label} {number}" for number in count(1))
        label = next(one for one in numbered if runs.get(f"{self.source.name} ▸ {one}", self.run) == self.run)
        named = replace(self, label=label)
        described = []
        for data, arguments, kind in self.layers:
            metadata = {"napari_restore": {**arguments["metadata"]["napari_restore"], "title": named.name}}
            name = arguments["name"].replace(self.name, named.name, 1)
            described.append((data, {**arguments, "name": name, "metadata": metadata}, kind))
        return replace(named, layers=described)


def short_name(card: ModelCard) -> str:
    """Return the name of a model for the layer list: that of a bundled or published model without its task.

    Examples
    --------
    >>> from napari_restore import api
    >>> short_name(api.model_card("restormer-denoise-light")), short_name(api.model_card("swinir-x2-light"))
    ('Restormer light', 'SwinIR ×2 light')
    """
    return " + ".join(map(_short, card.name.split(" + ")))


def _short(name: str) -> str:
    first, _, rest = name.partition("-")
    if first not in _ARCHITECTURES:
        return name
    words = [f"×{word[1:]}" if word[1:].isdigit() and word[0] == "x" else word for word in rest.split("-")]
    return " ".join([_ARCHITECTURES[first], *(word for word in words if word not in ("", "denoise"))])


def run_of(layer: Any) -> tuple[str, ...]:
    """Return what makes the run of a result layer the same as another: see `Result`; empty for other layers."""
    return tuple(own_metadata(layer).get("run", ()))


def _draw_over_source(layers: list[LayerData]) -> tuple[str, ...]:
    """Make the lowest layer cover what is below it, and return the blending of all layers before that."""
    blending = tuple(arguments["blending"] for _, arguments, _ in layers)
    layers[0][1]["blending"] = "translucent"
    return blending


def result_axes(axes: str) -> str:
    """Return the axes of the result layers of a source with these axes.

    A source with an axis C has one result layer for each channel. napari aligns the last axes of all layers. So C is
    dropped if it is the first axis. Otherwise it is kept with length 1, or Z would be aligned with the source's C.
    """
    return axes.removeprefix("C")


def result_layers(layer: ImageLayer, plan: Plan, region: Region, levels: Sequence[Any]) -> list[LayerData]:
    """Describe the layers that show a result: one, or one for each channel.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer that was restored.
    plan : Plan
        The plan of the result.
    region : tuple of slice
        The region that was restored, in pixels and axis order of the layer.
    levels : sequence of array
        Levels of the result, level 0 first, in canonical order.

    Returns
    -------
    list of (data, keyword arguments, "image")
        In the axis order of the layer. Each channel has its own layer, with the axes `result_axes`. If these have C,
        its single pixel is as long as all channels of the source, so the layer is visible at each position of the
        C slider.
    """
    axes = plan.image.axes
    order = transposition(plan.axes, axes)
    arrays = [array.transpose(order) for array in levels]
    multiscale = len(arrays) > 1
    shown = layer_geometry(layer, axes, region, plan.card.scale) | _appearance(layer, plan)
    shown["multiscale"] = multiscale
    if "C" not in axes:
        return [(_one_or_many(arrays), shown, "image")]
    position = axes.index("C")
    count = arrays[0].shape[position]
    result = []
    for channel in range(count):
        channel_name = plan.image.channels[channel].name if plan.image.channels else f"channel {channel}"
        own = {**shown, "name": f"{shown['name']} · {channel_name}"}
        if count > 1:
            own |= {"colormap": _COLORMAPS[channel % len(_COLORMAPS)], "blending": "additive"}
        cut = _only if "C" in result_axes(axes) else _at
        result.append((_one_or_many([cut(array, position, channel) for array in arrays]), own, "image"))
    return result


def _one_or_many(arrays: list[Any]) -> Any:
    return arrays if len(arrays) > 1 else arrays[0]


def _at(array: Any, axis: int, index: int) -> Any:
    """Return one position along an axis, without that axis; lazy if the array is."""
    if isinstance(array, StoredView | FillingView):
        return array.at(axis, index)
    return array[(slice(None),) * axis + (index,)]


def _only(array: Any, axis: int, index: int) -> Any:
    """Return one position along an axis, which is kept with length 1."""
    if isinstance(array, StoredView | FillingView):
        return array.only(axis, index)
    return array[(slice(None),) * axis + (slice(index, index + 1),)]


def layer_geometry(layer: ImageLayer, axes: str, region: Region, factor: float) -> dict[str, Any]:
    """Return scale and translation of a layer over its source, by the half-pixel rule of `images.geometry`.

    The rule holds along C too, if that is kept: one pixel takes the place of n, so its factor is 1 / n.
    Rotation, shear and affine are applied after the scale, so they are those of the source.

    Parameters
    ----------
    layer : napari.layers.Image
        The source.
    axes : str
        One letter of TCZYXS for each axis of its data.
    region : tuple of slice
        The region that the new layer covers, in pixels and axis order of the source.
    factor : float
        Pixels of the new layer for each pixel of the source, along Y and X.

    Returns
    -------
    dict
        Keyword arguments of a layer with the axes `result_axes`, without S.
    """
    kept = [i for i, letter in enumerate(axes) if letter in result_axes(axes) and letter != "S"]
    ndim = layer.ndim
    upscaled = np.array([factor if letter in "YX" else 1 for letter in axes if letter != "S"], float)
    if "C" in result_axes(axes):
        position = axes.index("C")
        upscaled[position] = 1 / (region[position].stop - region[position].start)
    first = np.array([s.start for s in region[:ndim]]) + first_centre(1 / upscaled)
    translate = translation_of(layer, first)
    shear = np.asarray(layer.shear)
    shear = shear if shear.ndim == 2 else _shear_matrix(shear, ndim)
    affine = np.asarray(layer.affine.affine_matrix)
    with_last = [*kept, ndim]
    return {
        "scale": (np.asarray(layer.scale) / upscaled)[kept],
        "translate": translate[kept],
        "rotate": np.asarray(layer.rotate)[np.ix_(kept, kept)],
        "shear": shear[np.ix_(kept, kept)],
        "affine": affine[np.ix_(with_last, with_last)],
        "units": [layer.units[i] for i in kept],
        "axis_labels": [layer.axis_labels[i] for i in kept],
    }


def _shear_matrix(shear: np.ndarray, ndim: int) -> np.ndarray:
    """Return the upper triangular matrix of the shears, which napari may keep as a vector."""
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, 1)] = shear
    return matrix


def _appearance(layer: ImageLayer, plan: Plan) -> dict[str, Any]:
    """Return name, colours and metadata of a result layer: its keyword arguments except for the geometry."""
    shown = {
        "name": f"{layer.name} ▸ {short_name(plan.card)}",
        "rgb": layer.rgb,
        "gamma": layer.gamma,
        "blending": "translucent" if layer.blending == "opaque" else layer.blending,
        "opacity": layer.opacity,
        "metadata": {
            "napari_restore": {
                "recipe": plan.recipe.as_json(),
                "fingerprint": plan.fingerprint,
                "model": plan.card.name,
                "source": layer.name,
            }
        },
    }
    if not layer.rgb:
        shown |= {"contrast_limits": list(layer.contrast_limits), "colormap": layer.colormap}
    return shown

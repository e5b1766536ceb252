"""Make the attributes of an OME-Zarr group, multiscales and omero, and convert those of others."""

from __future__ import annotations

__all__ = ["COLLECTION", "collection_members", "converted", "ome_attributes", "ome_part"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_restore.images.geometry import Sampling
from napari_restore.images.image import Channel

if TYPE_CHECKING:
    import zarr

COLLECTION = "bioformats2raw.layout"
"""Attribute of a group of several images in the layout of bioformats2raw."""

_AXIS_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}

# Display colours of channels without one, because omero requires a colour for each channel.
_COLOURS = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")
_RGB = ("FF0000", "00FF00", "0000FF", "FFFFFF")


def ome_part(group: zarr.Group) -> Mapping[str, Any]:
    """Return the part of a group's attributes that OME-Zarr defines; since 0.5 it has its own key.

    Parameters
    ----------
    group : zarr.Group
        Group of an OME-Zarr, of any version.
    """
    attributes = group.attrs.asdict()
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, Mapping) else {}


def collection_members(group: zarr.Group) -> list[str]:
    """Return the paths of the images in a group in the layout of bioformats2raw, in order.

    They are those that the group "OME" lists, or else the numbered groups, or else all groups that are images.

    Parameters
    ----------
    group : zarr.Group
        Group with the attribute `COLLECTION`.

    Returns
    -------
    list of str
        Paths in the group.
    """
    import zarr

    listed = group.get("OME")
    series = ome_part(listed).get("series") if isinstance(listed, zarr.Group) else None
    if isinstance(series, Sequence) and not isinstance(series, str):
        return [str(path) for path in series if path in group]
    groups = dict(group.groups())
    numbers = sorted((name for name in groups if name.isdecimal()), key=int)
    return numbers or sorted(name for name, member in groups.items() if ome_part(member).get("multiscales"))


_OF_LABELS = ("multiscales", "omero", "labels", "image-label")
"""Keys of OME-Zarr in the attributes of labels and of their list."""


def converted(attributes: Mapping[str, Any], version: Literal["0.4", "0.5"]) -> dict[str, Any]:
    """Return the attributes of a label image, or of the list of labels, as another version of OME-Zarr stores them.

    Parameters
    ----------
    attributes : mapping
        Attributes of the group, of OME-Zarr 0.4 or 0.5; those that are not OME-Zarr's stay.
    version : {"0.5", "0.4"}
        Version of OME-Zarr.

    Returns
    -------
    dict
        The attributes; the same if they have this version already, or nothing of OME-Zarr in them.

    Raises
    ------
    ValueError
        If they have a third version, or an image that does not fit the version.
    """
    attributes = dict(attributes)
    inner = attributes.get("ome")
    ome = dict(inner) if isinstance(inner, Mapping) else {k: attributes[k] for k in _OF_LABELS if k in attributes}
    if not ome:
        return attributes
    images = [dict(one) for one in ome.get("multiscales", ())]
    found = str(inner.get("version", "0.5")) if isinstance(inner, Mapping) else _version_of(images)
    if found == version or (version == "0.4" and not isinstance(inner, Mapping)):  # earlier ones are like it
        return attributes
    if found not in ("0.4", "0.5"):
        raise ValueError(f"it is OME-Zarr {found}, and only 0.4 and 0.5 can be stored in a result of {version}")
    ome.pop("version", None)
    versioned = {} if version == "0.5" else {"version": version}
    if images:
        ome["multiscales"] = [{k: v for k, v in one.items() if k != "version"} | versioned for one in images]
    if isinstance(ome.get("image-label"), Mapping):
        ome["image-label"] = {k: v for k, v in ome["image-label"].items() if k != "version"} | versioned
    others = {k: v for k, v in attributes.items() if k != "ome" and k not in ome}
    _check_images(ome, version)
    return {**others, "ome": {"version": version, **ome}} if version == "0.5" else {**others, **ome}


def _version_of(images: Sequence[Mapping[str, Any]]) -> str:
    """Return the version of images outside the key "ome": that which they name, or 0.4 if they are like it."""
    named = next((str(one["version"]) for one in images if one.get("version")), None)
    return named or "0.4"


def _check_images(ome: Mapping[str, Any], version: str) -> None:
    """Raise ValueError if an image has no axes or sizes as the version describes them."""
    if not ome.get("multiscales"):
        return
    from pydantic import ValidationError

    from napari_restore.images.ome_metadata.schema import Multiscale

    try:
        for one in ome["multiscales"]:
            Multiscale.model_validate(one)
    except ValidationError as error:
        raise ValueError(f"its metadata do not fit OME-Zarr {version}: {error.errors()[0]['msg']}") from error


def ome_attributes(
    letters: str,
    levels: int,
    dtype: np.dtype[Any],
    pixel_size: Mapping[str, float],
    origin: Mapping[str, float],
    units: Mapping[str, str],
    channels: Sequence[Channel],
    name: str,
    version: str,
    *,
    colour: bool = False,
    labels: bool = False,
    reduction: str = "mean",
) -> dict[str, Any]:
    """Return the attributes of the group of an image pyramid.

    Level n is level 0 after n times a 2×2 mean: 2^n pixels along Y and X become one, at the position that
    `images.geometry` gives.

    Parameters
    ----------
    letters : str
        Axes in stored order, out of "TCZYX".
    levels : int
        Number of levels, stored as arrays "0", "1", ...
    dtype : numpy.dtype
        Data type of the pixels; it gives display limits that are unknown.
    pixel_size, origin : mapping of str to float
        Of level 0, by letter; 1.0 and 0.0 where missing.
    units : mapping of str to str
        By letter; unknown where missing.
    channels : sequence of Channel
        One per stored channel; without any information on channels, no omero is written.
    name : str
        Name of the image.
    version : {"0.5", "0.4"}
        Version of OME-Zarr.
    colour : bool
        Whether the channels are the red, green and blue (and alpha) samples of a colour image.
    labels : bool
        Whether the image is the labels of the image two groups above.
    reduction : str
        What coarser levels have of 2×2 pixels; of labels, it is always the mode.

    Returns
    -------
    dict
        Attributes of the group.
    """
    axes = [{"name": a.lower(), "type": _AXIS_TYPES[a], **({"unit": units[a]} if a in units else {})} for a in letters]
    datasets = []
    for level in range(levels):
        scale, shift = _placement(letters, pixel_size, origin, level)
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    multiscale = {"axes": axes, "datasets": datasets, "name": name, "type": "mode" if labels else reduction}
    image_label = {"source": {"image": "../../"}}
    if version == "0.5":
        inner = {"version": "0.5", "multiscales": [multiscale], **_omero(channels, dtype, colour)}
        return {"ome": {**inner, **({"image-label": image_label} if labels else {})}}
    named = {"multiscales": [{**multiscale, "version": "0.4"}], **_omero(channels, dtype, colour)}
    return {**named, **({"image-label": {**image_label, "version": "0.4"}} if labels else {})}


def collection_attributes(members: Sequence[str], version: str) -> dict[str, dict[str, Any]]:
    """Return the attributes of a group of several images in the layout of bioformats2raw, and of the group in it.

    Parameters
    ----------
    members : sequence of str
        Paths of the images in the group.
    version : {"0.5", "0.4"}
        Version of OME-Zarr.

    Returns
    -------
    dict of str to dict
        By the path in the group: "" and "OME".
    """
    found: dict[str, dict[str, Any]] = {"": {COLLECTION: 3}, "OME": {"series": list(members)}}
    return {path: {"ome": {"version": "0.5", **one}} for path, one in found.items()} if version == "0.5" else found


def _placement(
    letters: str, pixel_size: Mapping[str, float], origin: Mapping[str, float], level: int
) -> tuple[list[float], list[float]]:
    """Return scale and translation of a level, one number per axis."""
    placed = [
        Sampling(float(pixel_size.get(letter, 1.0)), float(origin.get(letter, 0.0))).downscaled(
            2**level if letter in "YX" else 1
        )
        for letter in letters
    ]
    return [axis.pixel_size for axis in placed], [axis.origin for axis in placed]


def _omero(channels: Sequence[Channel], dtype: np.dtype[Any], colour: bool) -> dict[str, Any]:
    """Return the omero block; empty if nothing is known about the channels."""
    if not any(channel != Channel() for channel in channels):
        return {}
    default = _RGB if colour else _COLOURS if len(channels) > 1 else ("FFFFFF",)
    described = [
        {
            "color": channel.color or default[n % len(default)],
            "window": _window(channel.window, dtype),
            "label": f"Channel {n}" if channel.name is None else channel.name,
            "active": channel.shown,
        }
        for n, channel in enumerate(channels)
    ]
    return {"omero": {"channels": described}}


def _window(window: tuple[float, float] | None, dtype: np.dtype[Any]) -> dict[str, float]:
    """Return display limits (start, end) and the range that contains them (min, max)."""
    if np.issubdtype(dtype, np.integer):
        low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    else:
        low, high = (0.0, 1.0) if window is None else (float(window[0]), float(window[1]))
    start, end = (low, high) if window is None else (float(window[0]), float(window[1]))
    return {"max": max(high, end), "min": min(low, start), "start": start, "end": end}

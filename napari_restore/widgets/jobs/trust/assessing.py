"""Assess a result that is shown, and describe the layers of its maps."""

from __future__ import annotations

__all__ = ["MAPS", "BlocksDone", "Earlier", "Found", "MapName", "assess_pair", "map_layer", "read_earlier"]

import atexit
import shutil
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_restore import api
from napari_restore.widgets.jobs.following import follow
from napari_restore.widgets.jobs.trust.shown_pair import ShownPair

if TYPE_CHECKING:
    from napari_restore.assessment.page import Assessment
    from napari_restore.assessment.places import Place

MapName = Literal["significance", "residual", "uncertainty"]

MAPS: dict[MapName, str] = {
    "significance": "Probability of windows",
    "residual": "Score of pixels",
    "uncertainty": "Uncertainty",
}
"""Titles of the maps."""
_SIDE = 256
"""Side of the part of a plane from which contrast limits are read, in pixels."""
_REACH = 2.5
"""Contrast limit of the signed maps, in values from which a window is flagged."""
_BLUE, _ORANGE = (0.05, 0.35, 0.95), (1.0, 0.45, 0.0)
"""Colours of the signed maps: where something was added, and where it was taken away. Both can be told by everyone."""


class BlocksDone(NamedTuple):
    """Progress of an assessment in blocks; 0 of 0 while the noise is calibrated."""

    done: int
    total: int


@dataclass(frozen=True)
class Found:
    """An assessment of a result that is shown.

    Attributes
    ----------
    pair : ShownPair
        Source and result.
    name : str
        Name of the result.
    assessment : Assessment
        What was found.
    stored : bool
        Whether it was read from the disk.
    """

    pair: ShownPair
    name: str
    assessment: Assessment
    stored: bool = False

    def position(self, place: Place) -> tuple[Any, tuple[float, float]]:
        """Return where a place is in the world: its centre, and its height and width.

        Parameters
        ----------
        place : Place
            One of the places to look at.
        """
        middle = {
            axis: (part[0] + part[1] - 1) // 2 for axis, part in zip("ZYX", (place.z, place.y, place.x), strict=True)
        }
        centre = self.pair.position({"T": place.t, "C": place.channel, **middle})
        letters = self.pair.axes.replace("S", "")
        steps = {axis: abs(float(self.pair.source.scale[letters.index(axis)])) for axis in "YX"}
        return centre, ((place.y[1] - place.y[0]) * steps["Y"], (place.x[1] - place.x[0]) * steps["X"])


class Earlier(NamedTuple):
    """What is stored beside a result: its assessment, and whether there is an uncertainty."""

    found: Found | None = None
    uncertainty: bool = False


def assess_pair(pair: ShownPair, name: str) -> Generator[BlocksDone | Found, None, None]:
    """Assess a result. Closing the generator stops after the blocks in progress; nothing is kept then.

    Parameters
    ----------
    pair : ShownPair
        Source and result.
    name : str
        Name of the result.

    Yields
    ------
    BlocksDone or Found
        `Found` last.

    Raises
    ------
    RestoreError
        See `api.assess`.
    """
    output = _place_for_maps(pair)

    def call(told: Callable[[BlocksDone], None]) -> Assessment:
        def progress(done: int, total: int) -> None:
            told(BlocksDone(done, total))

        return api.assess(pair.before, pair.after, output, overwrite=True, progress=progress)

    for event in follow(call, BlocksDone(0, 0)):
        yield event if isinstance(event, BlocksDone) else Found(pair, name, event)


def read_earlier(pair: ShownPair, name: str) -> Generator[Earlier, None, None]:
    """Look for an assessment of this part of the source, and for an uncertainty, that are stored beside a result.

    Parameters
    ----------
    pair, name
        See `assess_pair`.

    Yields
    ------
    Earlier
        Once.
    """
    from napari_restore.assessment.stored import read_assessment
    from napari_restore.engine.store.create import UNCERTAINTY
    from napari_restore.images.store import as_location, place_of

    if not isinstance(pair.after, str):
        yield Earlier()
        return
    found = read_assessment(pair.after)
    fits = found is not None and tuple(found.content["shape"]) == pair.before.shape
    kept = Found(pair, name, found, stored=True) if found is not None and fits else None
    yield Earlier(kept, place_of(as_location(pair.after)).has(UNCERTAINTY))


def _place_for_maps(pair: ShownPair) -> str | None:
    """Return a temporary folder for maps that can be kept neither in memory nor beside the result."""
    from napari_restore.assessment.maps import place_in_result

    after = api.open_image(pair.after)
    if isinstance(after.data, np.ndarray) or place_in_result(after) is not None:
        return None
    folder = tempfile.mkdtemp(prefix="napari-restore-trust-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return f"{folder}/assessment"


def map_layer(
    pair: ShownPair, name: str, assessment: Assessment | None, shown: MapName, channel: int
) -> Generator[tuple[Any, dict[str, Any]], None, None]:
    """Describe the layer of a map over its source. Call this on a worker thread.

    Parameters
    ----------
    pair : ShownPair
        Source and result.
    name : str
        Name of the result.
    assessment : Assessment or None
        What was found; None for the uncertainty.
    shown : {"significance", "residual", "uncertainty"}
        The map.
    channel : int
        Index along C, or of the colour sample.

    Yields
    ------
    (array, dict)
        Data and keyword arguments of an image layer.
    """
    from napari_restore.quality.structure import WINDOW

    array = _map(pair, assessment, shown)
    data, placed = pair.layer_of(array, channel, WINDOW if shown == "significance" else 1)
    looks: dict[str, Any] = {"contrast_limits": _limits(data), "colormap": "viridis", "opacity": 0.6}
    if assessment is not None and shown != "uncertainty":
        reach = _REACH * -float(np.log10(assessment.content["settings"]["significance"]))
        looks = {"contrast_limits": (-reach, reach), "colormap": _signed(), "opacity": 0.5}
    channels = pair.channels()
    title = f"{MAPS[shown].lower()} · {name}" + (f" · channel {channel}" if channels > 1 else "")
    own = {"name": title, "metadata": {"napari_restore": {"comparison": True}}, "rgb": False, "blending": "translucent"}
    yield data, {**own, **looks, **placed}


def _map(pair: ShownPair, assessment: Assessment | None, shown: MapName) -> Any:
    from napari_restore.images.writing.ome_zarr import open_level

    if assessment is None or shown == "uncertainty":
        return open_level(f"{str(pair.after).rstrip('/')}/{shown}", 0)
    if assessment.location is not None:
        return open_level(f"{assessment.location}/{shown}", 0)
    return assessment.residual if shown == "residual" else assessment.significance


def _signed() -> Any:
    """Return the colours of the signed maps; what noise alone explains is transparent."""
    from napari.utils.colormaps import Colormap

    inner = 0.5 / _REACH
    colours = [(*_BLUE, 1.0), (*_BLUE, 0.4), (*_BLUE, 0.0), (*_ORANGE, 0.0), (*_ORANGE, 0.4), (*_ORANGE, 1.0)]
    controls = [0.0, 0.5 - inner, 0.5 - 0.75 * inner, 0.5 + 0.75 * inner, 0.5 + inner, 1.0]
    return Colormap(colours, controls=controls, name="napari-restore: added, taken away")


def _limits(data: Any) -> tuple[float, float]:
    """Return contrast limits from the middle of the middle plane."""
    middle = [slice(n // 2, n // 2 + 1) for n in data.shape[:-2]]
    inner = [slice(max(0, n // 2 - _SIDE // 2), n // 2 + _SIDE // 2 + 1) for n in data.shape[-2:]]
    values = np.asarray(data[(*middle, *inner)], float)
    known = values[np.isfinite(values)]
    high = float(np.percentile(known, 99.5)) if known.size else 0.0
    return (0.0, high if high > 0 else 1.0)

"""Assess a result: calibrate on a sample, go over all blocks, collect, and write the report."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_restore.assessment.blocks import (
    Assessed,
    BlockPlace,
    Settings,
    assess_block,
    block_steps,
    blocks_of,
)
from napari_restore.assessment.calibration import Null, calibrate, in_units_of, sample_pairs
from napari_restore.assessment.maps import REPORT, InMemory, Maps, Stored, place_in_result
from napari_restore.assessment.page import Assessment, assessment_page, headline
from napari_restore.assessment.pairing import Paired, labels_fit, pair_images, plane_region, read_planes
from napari_restore.assessment.places import PlaceList
from napari_restore.assessment.resolutions import measure_beyond, measure_resolution
from napari_restore.assessment.sums import SumsOfRegions
from napari_restore.engine.record.report_file import add_to_report
from napari_restore.errors import RecipeError
from napari_restore.images.image import Image
from napari_restore.intensity.stabilise import CameraNoise
from napari_restore.quality.optics import resolution_scaled
from napari_restore.quality.photometry import line_from_moments, moments_of

__all__ = ["Request", "assess_images"]

FORMAT = 1
"""Version of the JSON format."""
_LISTED = 10_000
"""Blocks that the JSON lists at least, if there are so many."""
_BLURS = (0.0, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Standard deviations, in pixels of the result, that are tried for an unknown point spread function."""


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """What is to be assessed, and how.

    Attributes
    ----------
    noise : sequence of CameraNoise or None
        Noise of each channel, or one for all; None to estimate it.
    psf : array_like, float or None
        Point spread function, in pixels of the result.
    wavelength, numerical_aperture : float or None
        Of the optics; the wavelength in micrometers.
    regions : Image or None
        Labels of regions whose sums are compared.
    settings : Settings
        What the tests depend on.
    workers : int
        Blocks in progress.
    """

    noise: Sequence[CameraNoise] | None = None
    psf: Any = None
    wavelength: float | None = None
    numerical_aperture: float | None = None
    regions: Image | None = None
    settings: Settings = dataclasses.field(default_factory=Settings)
    workers: int = 2


def assess_images(
    source: Image,
    result: Image,
    request: Request,
    *,
    output: str | None = None,
    in_memory: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Assessment:
    """Assess a result of a source.

    Parameters
    ----------
    source, result : Image
        The images.
    request : Request
        What is to be assessed.
    output : str or None
        Folder or URL for maps and report; None for the OME-Zarr of the result, if this package wrote it.
    in_memory : bool
        Return the maps as arrays if they are stored nowhere.
    overwrite : bool
        Replace an assessment that is there.
    progress : callable or None
        Called with the number of blocks that are done, and of all.

    Returns
    -------
    Assessment
        The report, and the maps.

    Raises
    ------
    RestoreError
        If the images do not belong together, noise cannot be estimated, nothing was removed, or the output cannot be
        written.
    """
    _check(request)
    paired = pair_images(source, result, request.psf)
    axes_of_labels = None if request.regions is None else labels_fit(request.regions, paired.sizes)
    own = place_in_result(result)
    output = output or own
    paired = in_units_of(paired)
    if paired.scale > 1 and paired.blur is None:
        paired = _with_fitted_blur(paired)
    channels = range(paired.sizes["C"])
    nulls = [calibrate(paired, c, _of_channel(request.noise, c)) for c in channels]
    beyond = measure_beyond(
        paired, request.wavelength, request.numerical_aperture, paired.blur if request.psf is not None else None
    )
    maps = Stored(output, paired, overwrite=overwrite) if output else InMemory(paired) if in_memory else Maps()
    places = PlaceList(paired.stack, request.settings.significance)
    sums, likeness, per_block = SumsOfRegions(request.regions is not None, paired.stack), np.zeros(6), []
    squares, pixels = 0.0, 0
    for found in _assessed(paired, nulls, request, axes_of_labels, progress):
        maps.write(found)
        places.take(found)
        sums.take(found)
        likeness += found.likeness
        squares, pixels = squares + found.squares, pixels + found.pixels
        per_block.append(_block_entry(found, request.settings))
        per_block = _worst(per_block)
    maps.finish()
    content = _content(paired, nulls, request, places, sums, likeness, squares / max(pixels, 1), per_block, beyond)
    content["resolution"] = [measure_resolution(paired, c, nulls[c]) for c in channels]
    return _finished(content, maps, result.location if own else None)


def _finished(content: dict[str, Any], maps: Maps, reported: str | None) -> Assessment:
    """Write the report, and what is most important of it into the report of the run that made the result, if any."""
    page = assessment_page(content)
    maps.put("assessment.md", page)
    maps.put(REPORT, json.dumps(content, indent=1, allow_nan=False))
    found = Assessment(content, page, maps.location, *maps.arrays())
    if reported is not None:
        add_to_report(reported, "assessment", {**found.summary(), "location": maps.location})
    return found


def _check(request: Request) -> None:
    settings = request.settings
    if not 0 <= settings.tolerance < 1:
        raise RecipeError(f"tolerance {settings.tolerance} is not a share of the contrast; give 0 to less than 1.")
    if not 0 < settings.significance < 0.5:
        raise RecipeError(f"significance {settings.significance} is not a small probability; give one such as 0.0001.")


def _of_channel(noise: Sequence[CameraNoise] | None, channel: int) -> CameraNoise | None:
    if noise is None:
        return None
    return noise[0] if len(noise) == 1 else noise[channel]


def _with_fitted_blur(paired: Paired) -> Paired:
    """Fit the width of the point spread function that leaves the smallest error, as SQUIRREL does."""
    errors = []
    for width in _BLURS:
        tried = dataclasses.replace(paired, blur=width)
        moments = np.zeros(6)
        for _, noisy, restored in sample_pairs(tried, 0, crops=4):
            there = np.isfinite(noisy) & np.isfinite(restored)
            moments += moments_of(noisy[there], restored[there])
        errors.append(resolution_scaled(moments)[0])
    best = _BLURS[int(np.nanargmin(errors))] if np.isfinite(errors).any() else 0.0
    note = (
        f"The point spread function between result and source was fitted: a Gaussian of {best:g} pixels of the result."
    )
    return dataclasses.replace(paired, blur=best or None, notes=(*paired.notes, note))


def _assessed(
    paired: Paired, nulls: Sequence[Null], request: Request, axes_of_labels: Sequence[str] | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Assessed]:  # fmt: skip
    """Yield the blocks in their order, with a few in progress."""
    total, done = _count(paired), 0

    def one(place: BlockPlace) -> Assessed:
        labels = None if axes_of_labels is None else _labels(paired, request.regions, place, axes_of_labels)
        return assess_block(paired, nulls[place.where["C"]], place, request.settings, labels)

    with ThreadPoolExecutor(max(request.workers, 1)) as pool:
        waiting: deque[Future[Assessed]] = deque()
        places = blocks_of(paired)
        try:
            for place in places:
                waiting.append(pool.submit(one, place))
                if len(waiting) > request.workers:
                    yield waiting.popleft().result()
                    done = _told(done, total, progress)
            while waiting:
                yield waiting.popleft().result()
                done = _told(done, total, progress)
        finally:
            for future in waiting:
                future.cancel()


def _told(done: int, total: int, progress: Callable[[int, int], None] | None) -> int:
    if progress is not None:
        progress(done + 1, total)
    return done + 1


def _count(paired: Paired) -> int:
    steps = block_steps(paired)
    return math.prod(-(-length // steps[axis]) for axis, length in paired.sizes.items())


def _labels(paired: Paired, regions: Image | None, place: BlockPlace, axes: Sequence[str]) -> npt.NDArray[Any]:
    assert regions is not None
    first = place.where[paired.stack] if paired.stack else 0
    region = plane_region(place.where, paired.stack, slice(first, first + place.count), place.rows, place.columns)
    region = {axis: part if axis in axes else slice(0, 1) for axis, part in region.items()}
    planes = read_planes(regions, region)
    return np.broadcast_to(planes, (place.count, *planes.shape[1:]))


def _worst(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep all entries of blocks; of very many, those with the smallest probabilities, in the order of the blocks."""
    if len(entries) <= 2 * _LISTED:
        return entries
    limit = sorted(entry["log10_p"] or 0.0 for entry in entries)[_LISTED]
    return [entry for entry in entries if (entry["log10_p"] or 0.0) < limit]


def _block_entry(found: Assessed, settings: Settings) -> dict[str, Any]:
    size = np.abs(found.significance)
    flagged = int((size > -np.log10(settings.significance)).sum())
    place = found.place
    return {
        **{axis.lower(): index for axis, index in place.where.items()}, "planes": place.count,
        "y": place.rows.start, "x": place.columns.start, "windows": int(np.isfinite(size).sum()), "flagged": flagged,
        "log10_p": round(-float(np.nanmax(size)), 2) if np.isfinite(size).any() else None,
    }  # fmt: skip


def _content(
    paired: Paired, nulls: Sequence[Null], request: Request, places: PlaceList, sums: SumsOfRegions,
    likeness: npt.NDArray[np.float64], squares: float, per_block: list[dict[str, Any]], beyond: dict[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    sizes = paired.sizes
    found = places.places(sizes["Y"], sizes["X"])
    error, coefficient = resolution_scaled(likeness)
    slope, intercept, r = line_from_moments(likeness)
    notes = [*paired.notes, *dict.fromkeys(note for null in nulls for note in null.notes)]
    content = {
        "format": FORMAT,
        "source": paired.source.location or paired.source.name, "result": paired.result.location or paired.result.name,
        "axes": paired.source.canonical, "shape": list(paired.source.shape), "scale": paired.scale,
        "settings": dataclasses.asdict(request.settings),
        "noise": [
            {
                "gain": null.camera.gain, "offset": null.camera.offset, "read_noise": null.camera.read_noise,
                "correlation": list(null.correlation), "removed": null.removed,
            }
            for null in nulls
        ],
        "residual": {
            "windows": places.windows, "flagged": places.flagged, "removed": places.removed, "added": places.added,
            "by_kind": places.by_kind, "by_chance": places.windows * request.settings.significance,
            "mean_square": squares,
        },
        "places": [place.to_json() for place in found[:1000]], "place_count": len(found),
        "blocks": per_block,
        "likeness": {"error": _number(error), "coefficient": _number(coefficient)},
        "pixels": {"slope": _number(slope), "intercept": _number(intercept), "r": _number(r)},
        "photometry": sums.content(),
        "beyond_cut_off": beyond,
        "notes": notes,
    }  # fmt: skip
    content["line"] = headline(content, found)
    return content


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

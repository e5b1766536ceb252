"""Pair a source with a result: axes, scale and units of both, and the result on the pixels of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.errors import SourceError
from napari_restore.images.axes import canonical_axes, transposition
from napari_restore.images.image import Image
from napari_restore.intensity.scaling import without_infinities

__all__ = ["Floats", "Paired", "pair_images"]

Floats = npt.NDArray[np.float64]

AXES = "TCZYX"
_PIXEL_SIZE = 0.02
"""Relative difference of pixel sizes from which they are said to differ."""
_SMALLEST = 32
"""Shortest side of a plane that can be assessed, in pixels."""
_REACH = 4.0
"""Standard deviations at which a Gaussian point spread function ends."""


@dataclass(frozen=True, eq=False)
class Paired:
    """A source and a result of it.

    Attributes
    ----------
    source, result : Image
        The images.
    scale : int
        Pixels of the result per pixel of the source along Y and X.
    stack : str
        Axis along which planes are neighbours, "Z" or "T"; empty if there is none.
    blur : numpy.ndarray, float or None
        Point spread function between result and source, in pixels of the result: a plane, or the standard deviation of
        a Gaussian.
    slope, offset : float
        A value of the source is ``slope * value + offset`` in the result.
    notes : tuple of str
        What was assumed or does not fit.
    """

    source: Image
    result: Image
    scale: int
    stack: str
    blur: Any = None
    slope: float = 1.0
    offset: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each axis of TCZYX of the source, 1 for an axis that it does not have."""
        return _sizes(self.source)

    def noisy(self, region: dict[str, slice]) -> Floats:
        """Read planes of the source.

        Parameters
        ----------
        region : dict of str to slice
            One slice for each axis of TCZYX; only that of the stack may be longer than 1, besides Y and X.

        Returns
        -------
        numpy.ndarray
            Shape ``(planes, h, w)``, float64; NaN where a value is infinite.
        """
        return without_infinities(read_planes(self.source, region))

    def fine(self, region: dict[str, slice]) -> Floats:
        """Read planes of the result on its own pixels, in the units of the source; `region` is in source pixels."""
        inner = {axis: _times(part, self.scale) if axis in "YX" else part for axis, part in region.items()}
        return (without_infinities(read_planes(self.result, inner)) - self.offset) / self.slope

    def restored(self, region: dict[str, slice]) -> Floats:
        """Read planes of the result through the point spread function and on the pixels of the source."""
        halo = self._halo()
        wide, cut = dict(region), []
        for axis in "YX":
            length, part = self.sizes[axis], region[axis]
            wide[axis] = slice(max(part.start - halo, 0), min(part.stop + halo, length))
            start = part.start - wide[axis].start
            cut.append(slice(start, start + part.stop - part.start))
        return self._through(self.fine(wide))[:, cut[0], cut[1]]

    def _halo(self) -> int:
        if self.blur is None:
            return 0
        reach = max(self.blur.shape) // 2 if isinstance(self.blur, np.ndarray) else int(_REACH * self.blur + 1)
        return -(-reach // self.scale)

    def _through(self, planes: Floats) -> Floats:
        """Blur planes by the point spread function, and average them over the pixels of the source."""
        if isinstance(self.blur, np.ndarray):
            planes = np.stack([ndimage.convolve(plane, self.blur, mode="nearest") for plane in planes])
        elif self.blur:
            planes = ndimage.gaussian_filter(planes, (0, self.blur, self.blur), mode="nearest", truncate=_REACH)
        if self.scale == 1:
            return planes
        count, height, width = planes.shape
        k = self.scale
        means: Floats = planes.reshape(count, height // k, k, width // k, k).mean((2, 4))
        return means


def pair_images(source: Image, result: Image, psf: Any = None) -> Paired:
    """Pair a source with its result; check axes, shapes and pixel sizes.

    Parameters
    ----------
    source, result : Image
        The images.
    psf : array_like, float or None
        Point spread function, in pixels of the result; see `Paired.blur`.

    Returns
    -------
    Paired
        The pair, in the units as they are.

    Raises
    ------
    SourceError
        If the shapes do not belong to a source and its result, planes are too small, or `psf` is not valid.
    """
    before, after = _sizes(source), _sizes(result)
    scale = after["Y"] // before["Y"]
    differing = [axis for axis in "TCZ" if before[axis] != after[axis]]
    if differing or scale < 1 or any(after[axis] != scale * before[axis] for axis in "YX"):
        raise SourceError(
            f"source {_told(before)} and result {_told(after)} do not belong together: Y and X of a result are those "
            "of its source times a whole number, and other axes are equal; crop one of them, or name the axes of both."
        )
    if min(before["Y"], before["X"]) < _SMALLEST:
        raise SourceError(
            f"planes of {before['Y']} x {before['X']} pixels are too small to estimate noise; {_SMALLEST} x "
            f"{_SMALLEST} or more are needed."
        )
    stack = next((axis for axis in "ZT" if before[axis] > 1), "")
    return Paired(source, result, scale, stack, _checked(psf), notes=tuple(_size_notes(source, result, scale)))


def _checked(psf: Any) -> Any:
    """Return the point spread function, normalised to sum 1 if it is a plane."""
    if psf is None:
        return None
    values = np.asarray(psf, np.float64)
    if values.ndim == 0 and np.isfinite(values) and values >= 0:
        return float(values)
    if values.ndim != 2 or not np.isfinite(values).all() or values.sum() <= 0 or any(n % 2 == 0 for n in values.shape):
        raise SourceError(
            f"a point spread function of shape {values.shape} is not valid; give a plane with odd sides and a positive "
            "sum, or the standard deviation of a Gaussian, in pixels of the result."
        )
    return values / values.sum()


def _size_notes(source: Image, result: Image, scale: int) -> list[str]:
    notes = []
    for axis in "YX":
        known = [axis in image.pixel_size and axis in image.units for image in (source, result)]
        expected, found = source.pixel_size.get(axis, 1.0) / scale, result.pixel_size.get(axis, 1.0)
        if all(known) and source.units[axis] == result.units[axis] and abs(found / expected - 1) > _PIXEL_SIZE:
            notes.append(
                f"The pixel size of the result along {axis} is {found:.4g} {result.units[axis]}, and its shape says "
                f"{expected:.4g}: the shape was used."
            )
    return notes


def _letters(image: Image) -> dict[str, str]:
    """Return the axis of TCZYX of each axis of an image; colour samples are channels."""
    if "S" in image.axes and "C" in image.axes:
        raise SourceError(
            f"{image.location or 'the image'} has channels and colour samples (axes {image.canonical}); assess its "
            "channels one at a time."
        )
    return {axis: "C" if axis == "S" else axis for axis in image.canonical}


def _sizes(image: Image) -> dict[str, int]:
    found = {letter: image.sizes[axis] for axis, letter in _letters(image).items()}
    return {axis: found.get(axis, 1) for axis in AXES}


def _told(sizes: dict[str, int]) -> str:
    return " ".join(f"{axis} {length}" for axis, length in sizes.items() if length > 1 or axis in "YX")


def read_planes(image: Image, region: dict[str, slice]) -> npt.NDArray[Any]:
    """Read the planes of a region, shape ``(planes, h, w)``.

    Parameters
    ----------
    image : Image
        Source, result or labels.
    region : dict of str to slice
        One slice for each axis of TCZYX; colour samples are channels.
    """
    letters = "".join(_letters(image).values())
    pixels = image.read(tuple(region[letter] for letter in letters))
    pixels = pixels.transpose(transposition(letters, canonical_axes(letters)))
    return pixels.reshape(-1, *pixels.shape[-2:])


def _times(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def plane_region(where: dict[str, int], stack: str, planes: slice, rows: slice, columns: slice) -> dict[str, slice]:
    """Return the region of a run of planes along the stack."""
    region = {axis: slice(index, index + 1) for axis, index in where.items()}
    if stack:
        region[stack] = planes
    return region | {"Y": rows, "X": columns}


def labels_fit(labels: Image, sizes: dict[str, int]) -> Sequence[str]:
    """Return the axes of a labels image along which it has the length of the source; others must be of length 1.

    Parameters
    ----------
    labels : Image
        Regions, as integers.
    sizes : dict of str to int
        Of the source.

    Raises
    ------
    SourceError
        If it does not fit, or is not of integers.
    """
    own = _sizes(labels)
    if labels.dtype.kind not in "ui" or any(own[a] not in ((sizes[a],) if a in "YX" else (1, sizes[a])) for a in AXES):
        raise SourceError(
            f"regions {_told(own)} of {labels.dtype} do not fit the source {_told(sizes)}; give integers, 0 for "
            "background, with the Y and X of the source."
        )
    return [axis for axis in AXES if own[axis] == sizes[axis]]

"""Compute quality metrics of restored images, with scikit-image where it has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.errors import SourceError

__all__ = ["fit_gain_offset", "photometric_fit", "psnr", "residual_autocorrelation", "seam_ratio", "ssim"]

Array = npt.NDArray[Any]

_SSIM_WINDOW = 7  # scikit-image's default
_SMOOTH = 2.0
"""Standard deviation in pixels of the Gaussian filter that makes the edges of a noisy source larger than its noise."""


def psnr(reference: Array, image: Array, data_range: float) -> float:
    """Compute the peak signal-to-noise ratio in dB.

    Parameters
    ----------
    reference, image : numpy.ndarray
        Of one shape, any number of axes. Pixels that are not finite in both are left out.
    data_range : float
        Range of the data, such as 1 or 255.

    Returns
    -------
    float
        ``10 log10(data_range^2 / mse)``; infinity for equal images, NaN if no pixel is finite in both.

    Raises
    ------
    SourceError
        If the shapes differ.

    Examples
    --------
    >>> round(psnr(np.zeros((8, 8)), np.full((8, 8), 0.1), data_range=1.0), 6)
    20.0
    """
    from skimage.metrics import mean_squared_error

    _check_pair(reference, image)
    known = np.isfinite(reference) & np.isfinite(image)
    if not known.any():
        return math.nan
    error = float(mean_squared_error(reference[known].astype(np.float64), image[known].astype(np.float64)))
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def ssim(reference: Array, image: Array, data_range: float, *, channel_axis: int | None = None) -> float:
    """Compute the mean structural similarity (Wang et al. 2004), with scikit-image's 7 x 7 uniform window.

    Parameters
    ----------
    reference, image : numpy.ndarray
        Of one shape. Every axis except `channel_axis` is spatial and has 7 pixels or more. Windows with pixels that are
        not finite in both are left out.
    data_range : float
        Range of the data, such as 1 or 255.
    channel_axis : int, optional
        Axis of the channels, whose similarities are averaged.

    Returns
    -------
    float
        In [-1, 1]; 1 for equal images, NaN if no window is whole.

    Raises
    ------
    SourceError
        If the shapes differ or an axis is shorter than the window.
    """
    from skimage.metrics import structural_similarity

    _check_pair(reference, image)
    spatial = list(reference.shape)
    if channel_axis is not None:
        del spatial[channel_axis]
    if min(spatial) < _SSIM_WINDOW:
        raise SourceError(
            f"an image of shape {reference.shape} is too small for SSIM; each axis needs {_SSIM_WINDOW} pixels."
        )
    known = np.isfinite(reference) & np.isfinite(image)
    first, second = (np.where(known, each.astype(np.float64), 0.0) for each in (reference, image))
    _, similarity = structural_similarity(first, second, data_range=data_range, channel_axis=channel_axis, full=True)  # type: ignore[no-untyped-call]
    window, inner = [_SSIM_WINDOW] * known.ndim, [slice(_SSIM_WINDOW // 2, -(_SSIM_WINDOW // 2))] * known.ndim
    if channel_axis is not None:
        window[channel_axis], inner[channel_axis] = 1, slice(None)
    whole = ndimage.minimum_filter(known, window)[tuple(inner)]
    return float(similarity[tuple(inner)][whole].mean()) if whole.any() else math.nan


def seam_ratio(
    image: Array, borders_y: Sequence[int], borders_x: Sequence[int], *, source: Array | None = None
) -> float:
    """Compute the visibility of seams: the mean absolute gradient across tile borders, relative to that elsewhere.

    Each axis is compared with itself, so stronger gradients along one axis of an image do not count as seams.

    Parameters
    ----------
    image : numpy.ndarray
        One plane, shape ``(h, w)``. Non-finite pixels are left out.
    borders_y, borders_x : sequence of int
        Positions of borders along each axis, 1 to size - 1: `p` is the border between the pixels ``p - 1`` and ``p``.
        Borders side by side are one band, over which two tiles are blended.
    source : numpy.ndarray, optional
        The plane that was restored, shape ``(h, w)`` or smaller by one factor. An image may have more edges at a border
        than elsewhere. With `source`, each band is therefore compared with as many lines on both sides, and what the
        source has there more or less, smoothed against its noise, is expected of `image` too.

    Returns
    -------
    float
        About 1 for invisible borders; infinity if there are gradients at borders only; NaN if there is nothing to
        compare.

    Raises
    ------
    SourceError
        If `image` is not a plane or a border is not inside of it.

    Examples
    --------
    >>> ramp = np.arange(20.0) * np.ones((20, 1))
    >>> stepped = ramp + 4 * (np.arange(20) >= 10)
    >>> seam_ratio(ramp, [], [10]), seam_ratio(stepped, [], [10]), round(seam_ratio(stepped, [], [10], source=ramp), 3)
    (1.0, 5.0, 5.0)
    """
    _check_plane(image)
    across, expected = 0.0, 0.0
    for axis, borders in ((0, borders_y), (1, borders_x)):
        at_border = _border_mask(image.shape[axis], borders)
        sums, counts = _gradients(image, axis)
        at_border, beside = (at_border, ~at_border) if source is None else _bands(at_border)
        if not counts[at_border].any() or not counts[beside].any():
            continue
        elsewhere = sums[beside].sum() / counts[beside].sum()
        if source is not None:
            elsewhere *= _more_at_border(source, axis, at_border, beside)
        across += float(sums[at_border].sum())
        expected += float(counts[at_border].sum() * elsewhere)
    if across == expected == 0:
        return math.nan
    return across / expected if expected else math.inf


def fit_gain_offset(image: Array, reference: Array) -> tuple[float, float]:
    """Fit ``gain * image + offset`` to a reference by least squares.

    Parameters
    ----------
    image, reference : numpy.ndarray
        Of one shape. Pixels that are not finite in both are left out.

    Returns
    -------
    gain, offset : float
        For a constant image, which determines only the offset, the gain is 1.

    Raises
    ------
    SourceError
        If the shapes differ or no pixel is finite in both.

    Examples
    --------
    >>> fit_gain_offset(np.array([0.0, 1.0, 2.0]), np.array([5.0, 7.0, 9.0]))
    (2.0, 5.0)
    """
    _check_pair(reference, image)
    valid = np.isfinite(image) & np.isfinite(reference)
    if not valid.any():
        raise SourceError("image and reference have no finite pixel in common; there is nothing to fit.")
    x, y = image[valid].astype(np.float64), reference[valid].astype(np.float64)
    centred = x - x.mean()
    power = float(centred @ centred)
    gain = float(centred @ (y - y.mean())) / power if power > 0 else 1.0
    return gain, float(y.mean() - gain * x.mean())


def photometric_fit(image: Array, reference: Array, block: int = 32) -> tuple[float, float]:
    """Fit ``image = slope * reference + offset`` to block means, to check that brightness is preserved.

    Block means have hardly any noise. Unlike single pixels of a smoothed image, they stay on the identity line if a
    restoration only moves light within the size of a block.

    Parameters
    ----------
    image, reference : numpy.ndarray
        Planes of one shape ``(h, w)``. The reference is the truth, or the noisy image itself.
    block : int
        Side of the blocks in pixels. Blocks start at the origin; remaining pixels at the far ends are not used. Blocks
        are shorter along an axis of less than two of them.

    Returns
    -------
    slope : float
        1 if contrast is preserved, below 1 if it is lost; 1 for a constant reference.
    offset : float
        In data units; 0 if brightness is preserved.

    Raises
    ------
    SourceError
        If the shapes differ, the images are not planes, or `block` is less than 1.

    Examples
    --------
    >>> reference = np.random.default_rng(0).normal(np.linspace(10, 20, 64), 1, (64, 64))
    >>> slope, offset = photometric_fit(0.9 * reference + 3, reference)
    >>> round(slope, 6), round(offset, 6)
    (0.9, 3.0)
    """
    _check_pair(reference, image)
    _check_plane(image)
    if block < 1:
        raise SourceError(f"blocks of {block} pixels hold nothing; use 1 or more.")
    sides = [max(1, min(block, size // 2)) for size in image.shape]
    return fit_gain_offset(_block_means(reference, *sides), _block_means(image, *sides))


def _block_means(plane: Array, height: int, width: int) -> npt.NDArray[np.float64]:
    rows, columns = plane.shape[0] // height, plane.shape[1] // width
    whole = plane[: rows * height, : columns * width].astype(np.float64)
    means: npt.NDArray[np.float64] = whole.reshape(rows, height, columns, width).mean((1, 3))
    return means


def residual_autocorrelation(residual: Array, lag: int = 1) -> tuple[float, float]:
    """Compute the autocorrelation of a residual along y and along x: about 0 for white noise.

    Parameters
    ----------
    residual : numpy.ndarray
        One plane, shape ``(h, w)``. Its mean is subtracted, and non-finite pixels are left out.
    lag : int
        Distance in pixels, 1 or more and less than either side.

    Returns
    -------
    along_y, along_x : float
        In about [-1, 1]; 0 for a constant residual.

    Raises
    ------
    SourceError
        If `residual` is not a plane or is not larger than `lag`.

    Examples
    --------
    >>> stripes = np.tile([1.0, -1.0], (8, 4))
    >>> residual_autocorrelation(stripes)
    (1.0, -1.0)
    """
    _check_plane(residual)
    if not 1 <= lag < min(residual.shape):
        raise SourceError(f"lag {lag} is not in 1..{min(residual.shape) - 1} for a residual of shape {residual.shape}.")
    finite = np.isfinite(residual)
    if not finite.any():
        return 0.0, 0.0
    values = np.where(finite, residual.astype(np.float64), np.nan)
    values -= np.nanmean(values)
    power = float(np.nanmean(values**2))
    if power == 0:
        return 0.0, 0.0
    return _lagged(values[:-lag] * values[lag:]) / power, _lagged(values[:, :-lag] * values[:, lag:]) / power


def _lagged(products: npt.NDArray[np.float64]) -> float:
    finite = products[np.isfinite(products)]
    return float(finite.mean()) if finite.size else 0.0


def _border_mask(size: int, borders: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Mark those of the ``size - 1`` gradients along an axis that are across a border."""
    mask = np.zeros(size - 1, bool)
    for border in borders:
        if not 1 <= border < size:
            raise SourceError(f"border {border} is not between two pixels of an axis of {size}; use 1 to {size - 1}.")
        mask[border - 1] = True
    return mask


def _gradients(image: Array, axis: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sum the absolute gradients along an axis that are finite, and count them, at each of its ``size - 1`` borders."""
    gradient = np.abs(np.diff(np.moveaxis(image.astype(np.float64), axis, 0), axis=0))
    finite = np.isfinite(gradient)
    return np.where(finite, gradient, 0).sum(1), finite.sum(1)


def _bands(at_border: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Mark the bands of borders, and as many lines on each side of a band as it has, two at least.

    A band near an end of the axis is compared with fewer lines on both sides, or left out if there is but one.
    """
    bands, beside = np.zeros_like(at_border), np.zeros_like(at_border)
    for (band,) in ndimage.find_objects(ndimage.label(at_border)[0]):
        count = min(max(2, band.stop - band.start), band.start, len(at_border) - band.stop)
        if count > 1:
            bands[band] = beside[band.start - count : band.stop + count] = True
    return bands, beside & ~at_border


def _more_at_border(source: Array, axis: int, at_border: npt.NDArray[np.bool_], beside: npt.NDArray[np.bool_]) -> float:
    """Return the ratio of the mean absolute gradients of a smoothed source at borders and beside them; 1 if unknown."""
    smooth = ndimage.gaussian_filter(source.astype(np.float64), _SMOOTH)
    sums, counts = _gradients(smooth, axis)
    # A smaller source has a border at every factor-th border of the image.
    factor, known = (len(at_border) + 1) / source.shape[axis], counts > 0
    if not known.any():
        return 1.0
    places = factor * np.arange(1, source.shape[axis])
    profile = np.interp(np.arange(1, len(at_border) + 1), places[known], sums[known] / counts[known])
    here, there = float(profile[at_border].mean()), float(profile[beside].mean())
    return here / there if here and there else 1.0


def _check_pair(reference: Array, image: Array) -> None:
    if reference.shape != image.shape:
        raise SourceError(f"reference {reference.shape} and image {image.shape} differ in shape; crop or resample one.")


def _check_plane(image: Array) -> None:
    if image.ndim != 2:
        raise SourceError(f"an array of shape {image.shape} is not one plane; pass a single Y x X image.")

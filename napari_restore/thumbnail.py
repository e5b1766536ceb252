"""Show pixels as a small picture: channels in their colours, values between their display limits."""

from __future__ import annotations

__all__ = ["display_limits", "middle", "picture_of"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHANNELS = 6
"""Channels that are added at most."""
_COLOURS = ("00FFFF", "FF00FF", "FFFF00", "00FF00", "FF0000", "0000FF")
Limits = tuple[float, float]


def middle(sizes: Mapping[str, int], side: int) -> tuple[slice, ...]:
    """Return the middle of an image: at most `side` × `side` pixels of the middle plane of the first channels.

    Parameters
    ----------
    sizes : mapping of str to int
        Length of each axis by letter, in canonical order.
    side : int
        Largest number of pixels along Y and X.
    """

    def part(axis: str, length: int) -> slice:
        if axis in "CS":
            return slice(0, min(length, _CHANNELS) if axis == "C" else length)
        count = min(length, side) if axis in "YX" else 1
        return slice((length - count) // 2, (length - count) // 2 + count)

    return tuple(part(axis, length) for axis, length in sizes.items())


def display_limits(channels: NDArray[Any]) -> list[Limits]:
    """Return display limits of each channel: the 0.2 and the 99.8 % quantile of its finite pixels.

    Parameters
    ----------
    channels : numpy.ndarray, shape (C, Y, X)
        Pixels.
    """
    limits = []
    for channel in channels:
        finite = channel[np.isfinite(channel)]
        low, high = np.quantile(finite, (0.002, 0.998)) if finite.size else (0.0, 1.0)
        limits.append((float(low), float(high)))
    return limits


def picture_of(
    channels: NDArray[Any], limits: Sequence[Limits], colours: Sequence[str | None] = (), side: int = 256
) -> NDArray[np.uint8]:
    """Add channels in their colours to an RGB picture, or show one channel in gray.

    Parameters
    ----------
    channels : numpy.ndarray, shape (C, Y, X)
        Pixels; those that are not finite are black.
    limits : sequence of (float, float)
        Values of each channel that are shown black and in full colour.
    colours : sequence of (str or None), optional
        Six hexadecimal digits, RRGGBB, for each channel; None for a colour by its number.
    side : int
        Larger planes are shrunk by a whole number, by means.

    Returns
    -------
    numpy.ndarray
        Shape (Y, X) for one channel without a colour, otherwise (Y, X, 3).
    """
    shares = np.zeros((len(channels), *_shrunk(channels[0], side).shape), np.float32)
    for share, channel, (low, high) in zip(shares, channels, limits, strict=True):
        value = (_shrunk(channel, side) - low) / ((high - low) or 1.0)
        share[...] = np.nan_to_num(np.clip(value, 0, 1), nan=0.0)
    if len(channels) == 1 and (not colours or colours[0] in (None, "FFFFFF")):
        gray: NDArray[np.uint8] = np.rint(255 * shares[0]).astype(np.uint8)
        return gray
    chosen = [*colours, *[None] * len(channels)][: len(channels)]
    names = [colour or _COLOURS[number % len(_COLOURS)] for number, colour in enumerate(chosen)]
    parts = np.array([[int(name[i : i + 2], 16) for i in (0, 2, 4)] for name in names], np.float32)
    colour: NDArray[np.uint8] = np.rint(np.clip(np.einsum("cyx,cr->yxr", shares, parts), 0, 255)).astype(np.uint8)
    return colour


def _shrunk(plane: NDArray[Any], side: int) -> NDArray[np.float32]:
    step = -(-max(plane.shape) // side)
    values = plane.astype(np.float32)
    if step == 1:
        return values
    height, width = (max(1, length // step) for length in plane.shape)
    values = values[: height * step, : width * step]
    shrunk: NDArray[np.float32] = values.reshape(height, min(step, values.shape[0]), width, -1).mean(axis=(1, 3))
    return shrunk

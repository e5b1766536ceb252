"""SwinIR's windows: the orders of an image's pixels in which those of a window are neighbours, and what is masked.

After Liu et al., "Swin Transformer", arXiv 2103.14030.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

__all__ = ["Group", "Layouts", "relative_position_index", "window_layouts"]

_FORBIDDEN = -100.0  # added to the logit of two pixels that the cyclic shift has brought together from opposite borders


def relative_position_index(window: int) -> Tensor:
    """Row of the bias table for each pair of a window's pixels, ``(window^2, window^2)``."""
    offsets = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    relative = offsets[:, :, None] - offsets[:, None, :] + window - 1
    return relative[0] * (2 * window - 1) + relative[1]


class Group(NamedTuple):
    """Windows that follow each other in a layout and have the same mask."""

    windows: int
    mask: Tensor | None


class Layout(NamedTuple):
    """An order of an image's pixels in which each window's pixels are neighbours.

    `pixels` has the place in the image of each, ``(h * w,)``. The windows of a `Group` follow each other.
    """

    pixels: Tensor
    groups: tuple[Group, ...]


class Layouts(NamedTuple):
    """The layouts of one image size, for layers with plain and with shifted windows, and the ways between orders.

    A layer does the same to each pixel or to each window, wherever they lie. So pixels stay in the order of the
    windows, and between a plain and a shifted layer one gathering of rows takes the place of a roll and two
    rearrangements.
    """

    plain: Layout
    shifted: Layout
    plain_to_shifted: Tensor
    shifted_to_plain: Tensor
    plain_to_image: Tensor
    shifted_to_image: Tensor


def _inverse(order: Tensor) -> Tensor:
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))


def _layout(height: int, width: int, window: int, shift: int) -> Layout:
    """Put windows, shifted cyclically, one after the other: those inside, at the right, at the bottom, in the corner.

    Only where the shift has brought pixels together from opposite borders there is something to mask.
    """
    image = torch.arange(height * width).reshape(height, width).roll((-shift, -shift), dims=(0, 1))
    if not shift:
        pixels = rearrange(image, "(ny wy) (nx wx) -> (ny nx wy wx)", wy=window, wx=window)
        return Layout(pixels, (Group(len(pixels) // window**2, None),))
    windows = rearrange(image, "(ny wy) (nx wx) -> ny nx (wy wx)", wy=window, wx=window)
    rest, last = slice(None, -1), slice(-1, None)
    parts, groups = [], []
    wrapped = torch.arange(window) >= window - shift
    for rows, columns in ((rest, rest), (rest, last), (last, rest), (last, last)):
        part = windows[rows, columns].flatten(0, 1)
        from_top, from_left = wrapped & (rows is last), wrapped & (columns is last)
        region = (2 * from_top[:, None] + from_left[None, :]).flatten()
        apart = region[:, None] != region[None, :]
        mask = None if rows is rest and columns is rest else torch.zeros(apart.shape).masked_fill(apart, _FORBIDDEN)
        if len(part):
            parts.append(part.flatten())
            groups.append(Group(len(part), mask))
    return Layout(torch.cat(parts), tuple(groups))


def window_layouts(height: int, width: int, window: int, device: torch.device) -> Layouts:
    """The layouts of images of ``height`` x ``width`` pixels, both multiples of the window, on a device."""
    plain, shifted = (_layout(height, width, window, shift) for shift in (0, window // 2))
    place_plain, place_shifted = _inverse(plain.pixels), _inverse(shifted.pixels)

    def moved(layout: Layout) -> Layout:
        groups = (Group(n, None if mask is None else mask.to(device)) for n, mask in layout.groups)
        return Layout(layout.pixels.to(device), tuple(groups))

    return Layouts(
        moved(plain),
        moved(shifted),
        plain_to_shifted=place_plain[shifted.pixels].to(device),
        shifted_to_plain=place_shifted[plain.pixels].to(device),
        plain_to_image=place_plain.to(device),
        shifted_to_image=place_shifted.to(device),
    )

"""Order the pixels of an image by SwinIR's attention windows, and mask the pairs that must not attend to each other.

After Liu et al., "Swin Transformer", arXiv 2103.14030.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

__all__ = ["Group", "Layouts", "relative_position_index", "window_layouts"]

_FORBIDDEN = -100.0  # added to the logit of two pixels that only the cyclic shift has brought into one window


def relative_position_index(window: int) -> Tensor:
    """Return the row of the bias table for each pair of pixels of a window, shape ``(window^2, window^2)``."""
    # On the device "meta", torch would import its compiler for this, which takes seconds. With the compiler comes
    # Triton, which ends a process that already draws by software OpenGL (two versions of LLVM).
    with torch.device("cpu"):
        offsets = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = offsets[:, :, None] - offsets[:, None, :] + window - 1
        return relative[0] * (2 * window - 1) + relative[1]


class Group(NamedTuple):
    """Consecutive windows of a layout that share one mask."""

    windows: int
    mask: Tensor | None


class Layout(NamedTuple):
    """An order of the pixels of an image in which the pixels of each window are consecutive.

    `pixels` holds the index of each pixel in the image, shape ``(h * w,)``. The windows of a `Group` are consecutive.
    """

    pixels: Tensor
    groups: tuple[Group, ...]


class Layouts(NamedTuple):
    """The layouts of one image size, for layers with plain and with shifted windows, and the permutations between them.

    A layer treats all pixels, or all windows, alike, independent of their position. So pixels stay in the order of the
    windows, and between a plain and a shifted layer one gather of rows replaces a roll and two rearrangements.
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
    """Order cyclically shifted windows by their mask: those inside, at the right, at the bottom, in the corner.

    A mask is needed only in windows that contain pixels from opposite borders.
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
        corner = (2 * from_top[:, None] + from_left[None, :]).flatten()
        apart = corner[:, None] != corner[None, :]
        mask = None if rows is rest and columns is rest else torch.zeros(apart.shape).masked_fill(apart, _FORBIDDEN)
        if len(part):
            parts.append(part.flatten())
            groups.append(Group(len(part), mask))
    return Layout(torch.cat(parts), tuple(groups))


def window_layouts(height: int, width: int, window: int, device: torch.device) -> Layouts:
    """Compute the layouts of images of ``height`` x ``width`` pixels, both multiples of the window, on a device."""
    plain, shifted = (_layout(height, width, window, shift) for shift in (0, window // 2))
    plain_to_image, shifted_to_image = _inverse(plain.pixels), _inverse(shifted.pixels)

    def on_device(layout: Layout) -> Layout:
        groups = (Group(n, None if mask is None else mask.to(device)) for n, mask in layout.groups)
        return Layout(layout.pixels.to(device), tuple(groups))

    return Layouts(
        on_device(plain),
        on_device(shifted),
        plain_to_shifted=plain_to_image[shifted.pixels].to(device),
        shifted_to_plain=shifted_to_image[plain.pixels].to(device),
        plain_to_image=plain_to_image.to(device),
        shifted_to_image=shifted_to_image.to(device),
    )

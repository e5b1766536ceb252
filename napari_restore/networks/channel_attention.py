"""Restormer's attention between channels, over all pixels of the input or over windows of it.

Zamir et al., "Restormer", arXiv 2111.09881, section 3.1. Windows after Chu et al., "Improving Image Restoration by
Revisiting Global Information Aggregation" (TLC), arXiv 2112.04491, which has a window around each pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

__all__ = ["Cells", "TransposedAttention", "cells_of", "pointwise"]


class Cells(NamedTuple):
    """Cells that attention windows consist of.

    Attributes
    ----------
    side : int
        Side of a cell in pixels.
    across : int
        Number of cells of a window along y and x, odd.
    """

    side: int
    across: int


def cells_of(window: int | None, cell: int | None) -> Cells | None:
    """Return the cells of an image that windows consist of.

    Parameters
    ----------
    window, cell : int or None
        Side of a window and of a cell in pixels of the image.

    Returns
    -------
    Cells or None
        None if both are None.

    Raises
    ------
    ValueError
        If a cell is not a multiple of 8, or a window is not an odd number of cells.
    """
    if window is None or cell is None:
        if window is not cell:
            raise ValueError(f"attention_window {window} and attention_cell {cell} belong together; give both or none")
        return None
    if cell < 8 or cell % 8:
        raise ValueError(f"attention_cell {cell} is not a multiple of 8 (the image is halved three times)")
    if window % cell or window // cell % 2 == 0:
        raise ValueError(f"attention_window {window} is not an odd number of cells of {cell}")
    return Cells(cell, window // cell)


def pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution as one matrix product over the last axis, the channels.

    Parameters
    ----------
    conv : torch.nn.Conv2d
        The convolution.
    x : torch.Tensor
        Features, shape ``(b, c, h, w)``.

    Returns
    -------
    torch.Tensor
        Features, shape ``(b, out, h, w)``.
    """
    weight = rearrange(conv.weight, "out c 1 1 -> out c")
    return rearrange(F.linear(rearrange(x, "b c h w -> b h w c"), weight, conv.bias), "b h w c -> b c h w")


class TransposedAttention(nn.Module):
    """Multi-Dconv head transposed attention, MDTA (section 3.1, equation 1).

    Attention runs across channels: the map of a head is ``(c, c)``, built from L2-normalised queries and keys whose
    products are summed over *all* pixels of the input, so its cost is linear in the number of pixels. With `cells`,
    they are summed over the window of cells around each cell of the input instead. The windows of neighbouring cells
    share most of their pixels, so no border can be seen between them.
    """

    def __init__(self, channels: int, heads: int, *, bias: bool, cells: Cells | None) -> None:
        super().__init__()
        self.heads = heads
        self.cells = cells
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, channels * 3, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(channels * 3, channels * 3, 3, padding=1, groups=channels * 3, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv_dwconv(pointwise(self.qkv, x))
        mixed = self._over_all_pixels(qkv) if self.cells is None else self._over_windows(qkv, *self.cells)
        return mixed if self.project_out.bias is None else mixed + self.project_out.bias[:, None, None]

    def _over_all_pixels(self, qkv: Tensor) -> Tensor:
        q, k, v = rearrange(qkv, "b (qkv head c) h w -> qkv b head (h w) c", qkv=3, head=self.heads)
        values = rearrange(v, "b head n c -> b n (head c)")
        mixed = values @ self._mixing(*_sums(q, k)).to(values.dtype)
        return rearrange(mixed, "b (h w) c -> b c h w", h=qkv.shape[-2])  # type: ignore[no-any-return]

    def _over_windows(self, qkv: Tensor, side: int, across: int) -> Tensor:
        """Give the pixels of each cell the attention of the window of cells around it."""
        pixels = rearrange(qkv, "b c (y s) (x t) -> b y x (s t) c", s=side, t=side)
        q, k, v = rearrange(pixels, "b y x n (qkv head c) -> qkv b y x head n c", qkv=3, head=self.heads)
        values = rearrange(v, "b y x head n c -> b y x n (head c)")
        mixed = values @ self._mixing(*(_window_means(each, across) for each in _sums(q, k))).to(values.dtype)
        return rearrange(mixed, "b y x (s t) c -> b c (y s) (x t)", s=side)  # type: ignore[no-any-return]

    def _mixing(self, products: Tensor, squares_q: Tensor, squares_k: Tensor) -> Tensor:
        """Return the matrix ``(..., channels, channels)`` that values are multiplied by: attention, then projection."""
        # Dividing the small map by the lengths saves the two passes over the image that normalising q and k takes.
        lengths = [squares.sqrt().clamp_min(1e-12) for squares in (squares_q, squares_k)]
        similarity = products / (lengths[0][..., :, None] * lengths[1][..., None, :])
        attention = (similarity * self.temperature).softmax(dim=-1)
        # Attention and projection are multiplied into one matrix, which saves another pass.
        weight = rearrange(self.project_out.weight, "out (head c) 1 1 -> head out c", head=self.heads)
        return rearrange(weight.to(attention.dtype) @ attention, "... head out c -> ... (head c) out")


def _sums(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum over the pixels of ``(..., n, c)``: products of queries and keys ``(..., c, c)``, and squares of both."""
    q, k = q.float(), k.float()
    # A sum of squares, because torch's norm over the first of two axes is less precise and slower.
    return q.transpose(-2, -1) @ k, q.square().sum(dim=-2), k.square().sum(dim=-2)


def _window_means(cells: Tensor, across: int) -> Tensor:
    """Average over the window around each cell, ``(b, y, x, ...)``; windows at the edge lie inside of the image.

    The attention does not depend on the scale of its sums.
    """
    means = rearrange(cells.flatten(3).float(), "b y x f -> b f y x")
    for axis, length in enumerate(means.shape[-2:]):
        size = min(across, int(length))  # lengths are tensors while torch traces
        before, after = (size - 1) // 2, size // 2
        means = F.avg_pool2d(means, (size, 1) if axis == 0 else (1, size), stride=1)
        means = F.pad(means, (0, 0, before, after) if axis == 0 else (before, after, 0, 0), mode="replicate")
    return rearrange(means, "b f y x -> b y x f").reshape(cells.shape)

"""Variants of Restormer's attention in the bundled denoiser, which `benchmarks.tiles.restormer_tiles` compares.

Restormer's attention is built from sums over all pixels of whatever it is given. Here the sums are taken over windows,
or gathered once and given to every tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from napari_restore import api
from napari_restore.models.zoo import find_card, load_weights
from napari_restore.networks.channel_attention import TransposedAttention
from napari_restore.networks.restormer import Restormer

__all__ = ["Plane", "Sums", "frozen", "gathering", "infer", "own", "use", "windows"]

Plane = NDArray[np.float32]
Sums = tuple[Tensor, Tensor, Tensor]
"""Over pixels, of each head: products of queries and keys ``(..., c, c)``, squares of both ``(..., c)``."""

Attention = Callable[[TransposedAttention, int], Callable[[Tensor], Tensor]]
"""Makes the forward function of one attention of the network, given how many times the image was halved before it."""


@cache
def network() -> Restormer:
    """The bundled denoiser of this process, on one thread: processes share out the cores."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    loaded = load_weights(find_card(api.DENOISER)).eval()
    assert isinstance(loaded, Restormer)
    return loaded


def attentions() -> list[tuple[int, TransposedAttention]]:
    """All of the network, with how many times the image was halved before."""
    levels = {"encoder_level1": 0, "encoder_level2": 1, "encoder_level3": 2, "latent": 3, "decoder_level3": 2}
    levels |= {"decoder_level2": 1, "decoder_level1": 0, "refinement": 0}
    return [
        (levels[name.partition(".")[0]], module)
        for name, module in network().named_modules()
        if isinstance(module, TransposedAttention)
    ]


def infer(images: Plane) -> Plane:
    with torch.inference_mode():
        return network()(torch.from_numpy(np.ascontiguousarray(images))).numpy()  # type: ignore[no-any-return]


def features(attention: TransposedAttention, x: Tensor) -> Tensor:
    """Queries, keys and values ``(qkv, b, head, c, h, w)``."""
    both: Tensor = attention.qkv_dwconv(attention.qkv(x))
    return rearrange(both, "b (qkv head c) h w -> qkv b head c h w", qkv=3, head=attention.heads)


def sums_of(q: Tensor, k: Tensor) -> Sums:
    """Sum over the pixels of ``(..., n, c)``."""
    return q.transpose(-2, -1) @ k, q.square().sum(-2), k.square().sum(-2)


def mixing(attention: TransposedAttention, sums: Sums) -> Tensor:
    """Matrix ``(..., channels, channels)`` that values are multiplied by: attention map, then projection."""
    gram, *squares = sums
    q, k = (each.sqrt().clamp_min(1e-12) for each in squares)
    maps = (gram / (q[..., :, None] * k[..., None, :]) * attention.temperature).softmax(-1)
    weight: Tensor = rearrange(attention.project_out.weight, "out (head c) 1 1 -> head out c", head=attention.heads)
    return rearrange(weight @ maps, "... head out c -> ... (head c) out")


def own(attention: TransposedAttention, level: int) -> Callable[[Tensor], Tensor]:
    """Return the attention of the network itself."""
    return partial(TransposedAttention.forward, attention)


def gathering(found: list[Sums], *, together: bool) -> Attention:
    """Attention that leaves its sums, and uses those of each image, or those of all images of the batch."""

    def made(attention: TransposedAttention, level: int) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            q, k, v = rearrange(features(attention, x), "qkv b head c h w -> qkv b head (h w) c")
            each = sums_of(q, k)
            gram, queries, keys = (part.sum(0, keepdim=True) for part in each)
            total = gram, queries, keys
            found.append(total)
            mixed = rearrange(v, "b head n c -> b n (head c)") @ mixing(attention, total if together else each)
            return rearrange(mixed, "b (h w) c -> b c h w", h=x.shape[-2])

        return forward

    return made


def frozen(sums: Iterable[Sums]) -> Attention:
    """Return an attention with given sums, which needs no queries and keys."""
    given = iter(sums)

    def made(attention: TransposedAttention, level: int) -> Callable[[Tensor], Tensor]:
        channels = attention.project_out.in_channels
        matrix = mixing(attention, next(given))[0]
        first, second = attention.qkv.weight[2 * channels :], attention.qkv_dwconv.weight[2 * channels :]

        def forward(x: Tensor) -> Tensor:
            values = F.conv2d(F.conv2d(x, first), second, padding=1, groups=channels)
            mixed = rearrange(values, "b c h w -> b h w c") @ matrix
            return rearrange(mixed, "b h w c -> b c h w")

        return forward

    return made


def windows(side: int) -> Attention:
    """Attention of windows of 2 x 2 cells of `side` input pixels, bilinear between the windows' centres."""

    def made(attention: TransposedAttention, level: int) -> Callable[[Tensor], Tensor]:
        return partial(windowed, attention, side >> level)

    return made


def windowed(attention: TransposedAttention, side: int, x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    padded = F.pad(features(attention, x), (0, -width % side, 0, -height % side))
    q, k, v = rearrange(padded, "qkv b head c (y s) (x t) -> qkv b y x head (s t) c", s=side, t=side)
    matrices = mixing(attention, tuple(four_cells(part) for part in sums_of(q, k)))  # type: ignore[arg-type]
    v = rearrange(v, "b y x head n c -> b y x n (head c)")
    rows, columns = v.shape[1:3]
    rise = (torch.arange(side) + 0.5) / side
    mixed = torch.zeros(())
    for dy, wy in enumerate((1 - rise, rise)):
        for dx, wx in enumerate((1 - rise, rise)):
            weight = (wy[:, None] * wx).reshape(-1, 1)
            mixed = mixed + weight * (v @ matrices[:, dy : dy + rows, dx : dx + columns])
    result = rearrange(mixed, "b y x (s t) c -> b c (y s) (x t)", s=side)
    return result[..., :height, :width].contiguous(memory_format=torch.channels_last)


def four_cells(cells: Tensor) -> Tensor:
    """Sum the cells around every corner: ``(b, y, x, ...)`` to ``(b, y + 1, x + 1, ...)``; fewer at the border."""
    flat = F.pad(rearrange(cells, "b y x ... -> b y x (...)"), (0, 0, 1, 1, 1, 1))
    flat = flat[:, :-1, :-1] + flat[:, 1:, :-1] + flat[:, :-1, 1:] + flat[:, 1:, 1:]
    return flat.reshape(*flat.shape[:3], *cells.shape[3:])


def use(kind: Attention) -> None:
    """Replace the forward function of every attention of the network."""
    for level, attention in attentions():
        setattr(attention, "forward", kind(attention, level))  # noqa: B010

"""Define the layers of SwinIR: attention inside windows, plain and shifted in turn.

After Liu et al., "Swin Transformer", arXiv 2103.14030, as SwinIR (arXiv 2108.10257) uses it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from napari_restore.networks.windows import Group, Layouts, relative_position_index

__all__ = ["SwinLayers"]

_WINDOWS_AT_ONCE = 64
"""Windows that go through a layer together on a CPU, so that intermediate values stay in the cache."""


class WindowAttention(nn.Module):
    """Multi-head self-attention inside each window, with a learned bias by relative position (equation 3).

    Input and output have the shape ``(windows, pixels, c)``, with the pixels of a window in row-major order.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, window: int, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        # It follows from the window, so it is neither saved in a state dict nor loaded from one.
        self.register_buffer("relative_position_index", relative_position_index(window), persistent=False)
        self.qkv = nn.Linear(channels, channels * 3, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def position_bias(self) -> Tensor:
        """Return the bias of each head, shape ``(heads, window^2, window^2)``."""
        bias = self.relative_position_bias_table[self.relative_position_index]
        return rearrange(bias, "query key head -> head query key")

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Apply attention with a bias (mask included) for each head and pair of pixels, ``(heads, pixels, pixels)``."""
        q, k, v = rearrange(self.qkv(x), "w n (qkv head c) -> qkv w head n c", qkv=3, head=self.heads)
        # torch uses its fused kernel only for four axes and a bias that is broadcast.
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].to(q.dtype))
        return self.proj(rearrange(x, "w head n c -> w n (head c)"))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class SwinLayer(nn.Module):
    """Swin transformer layer, STL (figure 2b, equation 4): pre-norm attention and feed-forward with residuals.

    Windows are those of the plain grid, or of one that is `shifted` cyclically by half a window.
    """

    def __init__(
        self, channels: int, heads: int, window: int, mlp_ratio: float, *, shifted: bool, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window, qkv_bias)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = FeedForward(channels, int(channels * mlp_ratio))

    def _on_windows(self, x: Tensor, bias: Tensor, out: Tensor | None = None) -> Tensor:
        x = x + self.attn(self.norm1(x), bias)
        return torch.add(x, self.mlp(self.norm2(x)), out=out)

    def forward(self, x: Tensor, groups: tuple[Group, ...]) -> Tensor:
        """Apply the layer.

        Parameters
        ----------
        x : torch.Tensor
            Windows of all images, ``(windows, images, pixels, channels)``, in the order of the groups.
        groups : tuple of Group
            Numbers of windows, and the mask of their attention.

        Returns
        -------
        torch.Tensor
            As `x`.
        """
        bias = self.attn.position_bias()
        sizes = [windows * x.shape[1] for windows, _ in groups]
        tokens = rearrange(x, "w b n c -> (w b) n c")
        masks = [bias if mask is None else bias + mask for _, mask in groups]
        # A trace does not record writes into parts of a tensor.
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if x.device.type != "cpu" or torch.is_grad_enabled() or traced:
            parts = zip(torch.split(tokens, sizes), masks, strict=True)
            result = torch.cat([self._on_windows(part, masked) for part, masked in parts])
        else:
            result = torch.empty_like(tokens)
            for part, masked, out in zip(torch.split(tokens, sizes), masks, torch.split(result, sizes), strict=True):
                pieces = (torch.split(each, _WINDOWS_AT_ONCE) for each in (part, out))
                for windows_in, windows_out in zip(*pieces, strict=True):
                    self._on_windows(windows_in, masked, windows_out)
        return rearrange(result, "(w b) n c -> w b n c", b=x.shape[1])


class SwinLayers(nn.Module):
    """The layers of one block, on ``(b, h, w, c)``; in every second layer the windows are shifted by half a window."""

    def __init__(
        self, channels: int, depth: int, heads: int, window: int, mlp_ratio: float, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        self.window_pixels = window**2
        self.blocks = nn.ModuleList(
            SwinLayer(channels, heads, window, mlp_ratio, shifted=index % 2 == 1, qkv_bias=qkv_bias)
            for index in range(depth)
        )

    def forward(self, x: Tensor, layouts: Layouts) -> Tensor:
        """Permute pixels from image order to window order, apply the layers, and permute back."""
        height, width = x.shape[1:3]
        # `index_select` copies whole rows; indexing with brackets copies single numbers.
        x = rearrange(x, "b h w c -> (h w) b c").index_select(0, layouts.plain.pixels)
        for index, layer in enumerate(self.blocks):
            if index:
                x = x.index_select(0, layouts.plain_to_shifted if layer.shifted else layouts.shifted_to_plain)
            layout = layouts.shifted if layer.shifted else layouts.plain
            tokens = rearrange(x, "(w n) b c -> w b n c", n=self.window_pixels)
            x = rearrange(layer(tokens, layout.groups), "w b n c -> (w n) b c")
        x = x.index_select(0, layouts.shifted_to_image if len(self.blocks) % 2 == 0 else layouts.plain_to_image)
        return rearrange(x, "(h w) b c -> b h w c", h=height, w=width)

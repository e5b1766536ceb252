"""Define the network Restormer, written from the paper.

Zamir, Arora, Khan, Hayat, Khan, Yang: "Restormer: Efficient Transformer for High-Resolution Image Restoration",
CVPR 2022, arXiv 2111.09881. Parameter names and shapes are those of the published state dicts, so the official
checkpoints load. Section numbers below refer to the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from napari_restore.networks.channel_attention import Cells, TransposedAttention, cells_of, pointwise
from napari_restore.networks.exact import in_float32

__all__ = ["NormKind", "Restormer", "TransformerBlock"]

_EPSILON = 1e-5

NormKind = Literal["BiasFree", "WithBias"]


class _Weights(nn.Module):
    """Scale, and shift if `shift` is set, of a layer norm over channels (the published key is ``body.weight``)."""

    def __init__(self, channels: int, *, shift: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if shift else None


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, ``(b, c, h, w) -> (b, c, h, w)``.

    ``WithBias`` is the usual one. ``BiasFree`` divides by the standard deviation *without* subtracting the mean and has
    no shift, so black stays black. A change of exposure cancels in the branch of each block, but not in the network.
    """

    def __init__(self, channels: int, kind: NormKind) -> None:
        super().__init__()
        self.body = _Weights(channels, shift=kind == "WithBias")

    def forward(self, x: Tensor) -> Tensor:
        pixels = rearrange(x, "b c h w -> b h w c")
        if self.body.bias is not None:
            y = F.layer_norm(pixels, pixels.shape[-1:], self.body.weight, self.body.bias, _EPSILON)
            return rearrange(y, "b h w c -> b c h w").to(x.dtype)
        # Float32 statistics: under bfloat16 autocast the variance of a nearly constant pixel would have no valid digit.
        # In two steps, because torch.var along the last axis takes six times as long.
        centred = pixels.float() - pixels.float().mean(dim=-1, keepdim=True)
        inverse_std = torch.rsqrt(centred.square().mean(dim=-1, keepdim=True) + _EPSILON)
        return rearrange(pixels * inverse_std.to(x.dtype) * self.body.weight.to(x.dtype), "b h w c -> b c h w")


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward network, GDFN (section 3.2, equation 2)."""

    def __init__(self, channels: int, expansion: float, *, bias: bool) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, hidden * 2, 1, bias=bias)
        self.dwconv = nn.Conv2d(hidden * 2, hidden * 2, 3, padding=1, groups=hidden * 2, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.dwconv(pointwise(self.project_in, x)).chunk(2, dim=1)
        return pointwise(self.project_out, F.gelu(gate) * value)


class TransformerBlock(nn.Module):
    """Pre-norm MDTA and GDFN, each with a residual connection (figure 2)."""

    def __init__(
        self,
        channels: int,
        heads: int,
        expansion: float,
        *,
        bias: bool,
        layer_norm: NormKind,
        cells: Cells | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels, layer_norm)
        self.attn = TransposedAttention(channels, heads, bias=bias, cells=cells)
        self.norm2 = ChannelNorm(channels, layer_norm)
        self.ffn = GatedFeedForward(channels, expansion, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block.

        Parameters
        ----------
        x : torch.Tensor
            Features, shape ``(b, channels, h, w)``.

        Returns
        -------
        torch.Tensor
            Features, of the same shape.
        """
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))  # type: ignore[no-any-return]


class PatchEmbedding(nn.Module):
    """Overlapped patch embedding: a 3x3 convolution from pixels to features."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return in_float32(self.proj, x)


class Halve(nn.Module):
    """``(b, c, h, w) -> (b, 2c, h/2, w/2)`` by a 3x3 convolution and pixel-unshuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # type: ignore[no-any-return]


class Double(nn.Module):
    """``(b, c, h, w) -> (b, c/2, 2h, 2w)`` by a 3x3 convolution and pixel-shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels * 2, 3, padding=1, bias=False), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # type: ignore[no-any-return]


class Restormer(nn.Module):
    """The four-level encoder-decoder of figure 2, with refinement and a global residual.

    Parameters
    ----------
    in_channels, out_channels : int
        Image channels; 6 and 3 for the dual-pixel variant (left and right view in, one image out).
    dim : int
        Features at full resolution; each lower level has twice as many as the one above.
    blocks : sequence of int
        Transformer blocks of the four levels; encoder and decoder of a level have the same number.
    refinement_blocks : int
        Blocks after the decoder, at full resolution with ``2 * dim`` features.
    heads : sequence of int
        Attention heads of the four levels.
    expansion : float
        Hidden features of the feed-forward network, as a multiple of its input features.
    bias : bool
        Whether the convolutions inside the blocks have a bias; those of the published models have none.
    layer_norm : {"BiasFree", "WithBias"}
        ``"BiasFree"`` for the Gaussian and real denoisers, ``"WithBias"`` for the others.
    dual_pixel : bool
        Defocus deblurring from two views: the embedded input is added by a 1x1 convolution before the last
        convolution, and there is no global residual.
    attention_window : int or None
        Side, in pixels of the image, of the windows that attention is summed over; None to sum over all pixels.
    attention_cell : int or None
        Side, in pixels of the image, of the cells that windows consist of; a multiple of 8. The grid of cells begins at
        the first pixel, and the pixels of a cell have the window around it.

    Raises
    ------
    ValueError
        If a cell is not a multiple of 8, or a window does not have an odd number of cells.

    Notes
    -----
    Attention over all pixels makes the result of a tile depend on the whole tile. With windows, the result of a pixel
    depends on its surroundings, so tiles whose origins are multiples of a cell agree with the whole image, except near
    their edges. Windows after Chu et al., TLC, arXiv 2112.04491, where each pixel has a window around it.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        dim: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        refinement_blocks: int = 4,
        heads: Sequence[int] = (1, 2, 4, 8),
        expansion: float = 2.66,
        bias: bool = False,
        layer_norm: NormKind = "WithBias",
        dual_pixel: bool = False,
        attention_window: int | None = None,
        attention_cell: int | None = None,
    ) -> None:
        super().__init__()
        cells = cells_of(attention_window, attention_cell)

        def stage(channels: int, depth: int, level: int) -> nn.Sequential:
            return nn.Sequential(
                *(
                    TransformerBlock(
                        channels,
                        heads[level],
                        expansion,
                        bias=bias,
                        layer_norm=layer_norm,
                        cells=None if cells is None else Cells(cells.side >> level, cells.across),
                    )
                    for _ in range(depth)
                )
            )

        self.dual_pixel = dual_pixel
        self.patch_embed = PatchEmbedding(in_channels, dim)
        self.encoder_level1 = stage(dim, blocks[0], 0)
        self.down1_2 = Halve(dim)
        self.encoder_level2 = stage(dim * 2, blocks[1], 1)
        self.down2_3 = Halve(dim * 2)
        self.encoder_level3 = stage(dim * 4, blocks[2], 2)
        self.down3_4 = Halve(dim * 4)
        self.latent = stage(dim * 8, blocks[3], 3)

        self.up4_3 = Double(dim * 8)
        self.reduce_chan_level3 = nn.Conv2d(dim * 8, dim * 4, 1, bias=bias)
        self.decoder_level3 = stage(dim * 4, blocks[2], 2)
        self.up3_2 = Double(dim * 4)
        self.reduce_chan_level2 = nn.Conv2d(dim * 4, dim * 2, 1, bias=bias)
        self.decoder_level2 = stage(dim * 2, blocks[1], 1)
        self.up2_1 = Double(dim * 2)
        # The top level keeps all concatenated features, so there is no 1x1 reduction.
        self.decoder_level1 = stage(dim * 2, blocks[0], 0)
        self.refinement = stage(dim * 2, refinement_blocks, 0)
        if dual_pixel:
            self.skip_conv = nn.Conv2d(dim, dim * 2, 1, bias=bias)
        self.output = nn.Conv2d(dim * 2, out_channels, 3, padding=1, bias=bias)

    def first(self, image: Tensor) -> Tensor:
        """Compute the first features of images, in float32.

        Parameters
        ----------
        image : torch.Tensor
            Shape ``(b, in_channels, h, w)``.

        Returns
        -------
        torch.Tensor
            Shape ``(b, dim, h, w)``.
        """
        # Channels last: norms and the products of the attention run along the channels of a pixel.
        return self.patch_embed(image.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]

    def inner(self, embedded: Tensor) -> Tensor:
        """Run the part that may use bfloat16: all layers between the first and the last convolution.

        Parameters
        ----------
        embedded : torch.Tensor
            Result of `first`.

        Returns
        -------
        torch.Tensor
            Shape ``(b, 2 * dim, h, w)``.
        """
        level1 = self.encoder_level1(embedded)
        level2 = self.encoder_level2(self.down1_2(level1))
        level3 = self.encoder_level3(self.down2_3(level2))
        latent = self.latent(self.down3_4(level3))

        up3 = torch.cat([self.up4_3(latent), level3], dim=1)
        up3 = self.decoder_level3(self.reduce_chan_level3(up3))
        up2 = torch.cat([self.up3_2(up3), level2], dim=1)
        up2 = self.decoder_level2(self.reduce_chan_level2(up2))
        up1 = self.decoder_level1(torch.cat([self.up2_1(up2), level1], dim=1))

        refined = self.refinement(up1)
        return refined + self.skip_conv(embedded) if self.dual_pixel else refined  # type: ignore[no-any-return]

    def last(self, refined: Tensor, image: Tensor) -> Tensor:
        """Compute the result from the last features, in float32.

        Parameters
        ----------
        refined : torch.Tensor
            Result of `inner`.
        image : torch.Tensor
            Argument of `first`.

        Returns
        -------
        torch.Tensor
            Shape ``(b, out_channels, h, w)``.
        """
        result = in_float32(self.output, refined)
        return result if self.dual_pixel else result + image

    def forward(self, image: Tensor) -> Tensor:
        """Restore images.

        Parameters
        ----------
        image : torch.Tensor
            Shape ``(b, in_channels, h, w)``, values in about [0, 1]; h and w are multiples of 8, because each of the
            three lower levels halves the image, and with windows multiples of a cell.

        Returns
        -------
        torch.Tensor
            Shape ``(b, out_channels, h, w)``.
        """
        return self.last(self.inner(self.first(image)), image)

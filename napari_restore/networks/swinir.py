"""Define the network SwinIR, written from the paper.

Liang, Cao, Sun, Zhang, Van Gool, Timofte: "SwinIR: Image Restoration Using Swin Transformer", ICCV workshops 2021,
arXiv 2108.10257; windows and relative position bias after Liu et al., "Swin Transformer", arXiv 2103.14030.
Parameter names and shapes are those of the published state dicts, so the official checkpoints load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from napari_restore.networks.exact import in_float32
from napari_restore.networks.swin_layers import SwinLayers
from napari_restore.networks.upsampling import pixel_shuffle_steps
from napari_restore.networks.windows import Layouts, window_layouts

__all__ = ["DIV2K_MEAN", "UPSAMPLING_FEATURES", "Head", "ResidualConv", "SwinIR"]

Head = Literal["pixelshuffle", "pixelshuffledirect", "nearest+conv", "none"]
ResidualConv = Literal["1conv", "3conv"]

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of the training photographs, which every three-channel model subtracts; it is not in the state dict."""

UPSAMPLING_FEATURES = 64
"""Number of features in the upsampling heads of all published models."""


def _convolution(channels: int, kind: ResidualConv) -> nn.Module:
    """Make the convolution that ends a residual block and the body: one 3x3, or a bottleneck of three (SwinIR-L)."""
    if kind == "1conv":
        return nn.Conv2d(channels, channels, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(channels, channels // 4, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels // 4, channels // 4, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels // 4, channels, 3, padding=1),
    )


class ResidualSwinBlock(nn.Module):
    """Residual Swin transformer block, RSTB (figure 2a, equation 5), on ``(b, h, w, c)``."""

    def __init__(
        self, channels: int, depth: int, heads: int, window: int, mlp_ratio: float, residual_conv: ResidualConv,
        qkv_bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.residual_group = SwinLayers(channels, depth, heads, window, mlp_ratio, qkv_bias)
        self.conv = _convolution(channels, residual_conv)

    def forward(self, x: Tensor, layouts: Layouts) -> Tensor:
        features = rearrange(self.residual_group(x, layouts), "b h w c -> b c h w")
        return x + rearrange(self.conv(features), "b c h w -> b h w c")  # type: ignore[no-any-return]


class _PatchNorm(nn.Module):
    """Layer norm after the shallow features (the published key is ``patch_embed.norm``)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)  # type: ignore[no-any-return]


class SwinIR(nn.Module):
    """Shallow features, residual Swin transformer blocks, and one of four reconstruction heads.

    Parameters
    ----------
    in_channels, out_channels : int
        Image channels; by default `out_channels` equals `in_channels`.
    embed_dim : int
        Features of the body.
    depths, heads : sequence of int
        Layers and attention heads of each residual block.
    window : int
        Side of an attention window, in input pixels: 8, and 7 for the JPEG models.
    mlp_ratio : float
        Hidden features of the feed-forward layers, as a multiple of `embed_dim`.
    scale : int
        Output pixels per input pixel along each axis; 1 for denoising.
    head : {"pixelshuffle", "pixelshuffledirect", "nearest+conv", "none"}
        ``"pixelshuffle"`` (classical super-resolution), ``"pixelshuffledirect"`` (lightweight), ``"nearest+conv"``
        (real-world; scale 2 or 4), ``"none"`` (denoising and JPEG, with a global residual).
    residual_conv : {"1conv", "3conv"}
        Convolution at the end of each block and of the body: ``"1conv"``, or ``"3conv"`` in SwinIR-L.
    img_range : float
        Factor applied to the input after the mean is subtracted, and undone at the end: 255 for the JPEG models.
    mean : sequence of float, optional
        Subtracted from the input channels; by default `DIV2K_MEAN` for three channels and 0 otherwise.
    qkv_bias, patch_norm
        Whether queries, keys and values have a bias, and whether the shallow features are normalised.
    features
        Number of features in the heads ``"pixelshuffle"`` and ``"nearest+conv"``.
    absolute_positions
        Side of the training images in pixels, a multiple of the window, if the network has learned a value for each
        of their pixels (``ape`` of the authors); 0 without. Such a network restores images up to this size.

    Raises
    ------
    ValueError
        If `head` is unknown, or does not exist for `scale`, or if `absolute_positions` is no multiple of `window`.
    """

    mean: Tensor

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int | None = None,
        embed_dim: int = 180,
        depths: Sequence[int] = (6, 6, 6, 6, 6, 6),
        heads: Sequence[int] = (6, 6, 6, 6, 6, 6),
        window: int = 8,
        mlp_ratio: float = 2.0,
        scale: int = 1,
        head: Head = "none",
        residual_conv: ResidualConv = "1conv",
        img_range: float = 1.0,
        mean: Sequence[float] | None = None,
        qkv_bias: bool = True,
        patch_norm: bool = True,
        features: int = UPSAMPLING_FEATURES,
        absolute_positions: int = 0,
    ) -> None:
        super().__init__()
        out_channels = in_channels if out_channels is None else out_channels
        if mean is None:
            mean = DIV2K_MEAN if in_channels == 3 else (0.0,) * in_channels
        if absolute_positions % window:
            raise ValueError(f"absolute_positions {absolute_positions} is not a multiple of the window {window}")
        self.window, self.scale, self.head, self.img_range = window, scale, head, img_range
        self.absolute_positions = absolute_positions
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self._layouts: dict[tuple[int, int, torch.device], Layouts] = {}

        self.conv_first = nn.Conv2d(in_channels, embed_dim, 3, padding=1)
        self.patch_embed = _PatchNorm(embed_dim) if patch_norm else nn.Identity()
        if absolute_positions:
            self.absolute_pos_embed = nn.Parameter(torch.zeros(1, absolute_positions**2, embed_dim))
            nn.init.trunc_normal_(self.absolute_pos_embed, std=0.02)
        self.layers = nn.ModuleList(
            ResidualSwinBlock(embed_dim, depth, block_heads, window, mlp_ratio, residual_conv, qkv_bias)
            for depth, block_heads in zip(depths, heads, strict=True)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.conv_after_body = _convolution(embed_dim, residual_conv)
        self._build_head(embed_dim, out_channels, features)

    def _build_head(self, embed_dim: int, out_channels: int, features: int) -> None:
        def conv(channels_in: int, channels_out: int) -> nn.Conv2d:
            return nn.Conv2d(channels_in, channels_out, 3, padding=1)

        if self.head in ("pixelshuffle", "nearest+conv"):
            self.conv_before_upsample = nn.Sequential(conv(embed_dim, features), nn.LeakyReLU())
        if self.head == "pixelshuffle":
            self.upsample = pixel_shuffle_steps(self.scale, features)
            self.conv_last = conv(features, out_channels)
        elif self.head == "pixelshuffledirect":
            self.upsample = nn.Sequential(conv(embed_dim, out_channels * self.scale**2), nn.PixelShuffle(self.scale))
        elif self.head == "nearest+conv":
            if self.scale not in (2, 4):
                raise ValueError(f"scale {self.scale} has no nearest+conv head; use 2 or 4")
            self.conv_up1 = conv(features, features)
            if self.scale == 4:
                self.conv_up2 = conv(features, features)
            self.conv_hr = conv(features, features)
            self.conv_last = conv(features, out_channels)
        elif self.head == "none":
            if self.scale != 1:
                raise ValueError(f"scale {self.scale} needs an upsampling head; 'none' keeps the size")
            self.conv_last = conv(embed_dim, out_channels)
        else:
            raise ValueError(f"unknown head {self.head!r}; use pixelshuffle, pixelshuffledirect, nearest+conv or none")

    def _layouts_for(self, height: int, width: int, device: torch.device) -> Layouts:
        """Return the layouts of an image size; they are computed once for each size."""
        key = (int(height), int(width), device)  # sizes are tensors while torch traces
        if key in self._layouts:
            return self._layouts[key]
        if torch.compiler.is_compiling():  # a traced tensor must not outlive its trace
            return window_layouts(height, width, self.window, device)
        with torch.inference_mode(False):  # autograd cannot save tensors of inference mode, and training may follow
            self._layouts[key] = window_layouts(height, width, self.window, device)
        return self._layouts[key]

    def _body(self, shallow: Tensor) -> Tensor:
        x = self.patch_embed(rearrange(shallow, "b c h w -> b h w c"))
        if self.absolute_positions:
            x = x + rearrange(self.absolute_pos_embed, "1 (h w) c -> 1 h w c", h=self.absolute_positions)
        layouts = self._layouts_for(x.shape[1], x.shape[2], x.device)
        for block in self.layers:
            x = block(x, layouts)
        x = rearrange(self.norm(x), "b h w c -> b c h w")
        return self.conv_after_body(x) + shallow  # type: ignore[no-any-return]

    def _normalised(self, image: Tensor) -> Tensor:
        """Pad an image to whole windows, and normalise it to the values that the network was trained on."""
        height, width = image.shape[-2:]
        pad_y, pad_x = -height % self.window, -width % self.window
        if side := self.absolute_positions:
            if max(height, width) > side:
                raise ValueError(
                    f"{height} x {width} pixels are more than the {side} x {side} that this network has learned "
                    "positions for; restore tiles of them"
                )
            pad_y, pad_x = side - height, side - width
        if pad_y or pad_x:
            mode = "reflect" if pad_y < height and pad_x < width else "replicate"
            image = F.pad(image, (0, pad_x, 0, pad_y), mode=mode)
        return (image - self.mean) * self.img_range

    def first(self, image: Tensor) -> Tensor:
        """Compute the shallow features of images, padded to whole windows, in float32.

        Parameters
        ----------
        image : torch.Tensor
            Shape ``(b, in_channels, h, w)``.

        Returns
        -------
        torch.Tensor
            Shape ``(b, embed_dim, h, w)``, h and w multiples of the window.
        """
        return in_float32(self.conv_first, self._normalised(image))

    def inner(self, shallow: Tensor) -> Tensor:
        """Run the part that may use bfloat16: the body, and the head without its last convolution.

        Parameters
        ----------
        shallow : torch.Tensor
            Result of `first`.

        Returns
        -------
        torch.Tensor
            Shape ``(b, features, h, w)``; for some heads h and w are those of the result.
        """
        features = self._body(shallow)
        if self.head == "pixelshuffle":
            return self.upsample(self.conv_before_upsample(features))  # type: ignore[no-any-return]
        if self.head == "nearest+conv":
            x = self.conv_before_upsample(features)
            for step in (self.conv_up1, self.conv_up2) if self.scale == 4 else (self.conv_up1,):
                x = F.leaky_relu(step(F.interpolate(x, scale_factor=2.0, mode="nearest")), 0.2)
            return F.leaky_relu(self.conv_hr(x), 0.2)
        return features

    def last(self, features: Tensor, image: Tensor) -> Tensor:
        """Compute the result from the last features, in float32.

        Parameters
        ----------
        features : torch.Tensor
            Result of `inner`.
        image : torch.Tensor
            Argument of `first`.

        Returns
        -------
        torch.Tensor
            Shape ``(b, out_channels, h * scale, w * scale)``.
        """
        height, width = image.shape[-2:]
        x = in_float32(self.upsample if self.head == "pixelshuffledirect" else self.conv_last, features)
        if self.head == "none":
            x = self._normalised(image) + x
        x = x / self.img_range + self.mean
        return x[..., : height * self.scale, : width * self.scale]

    def forward(self, image: Tensor) -> Tensor:
        """Restore images.

        Parameters
        ----------
        image : torch.Tensor
            Shape ``(b, in_channels, h, w)``, values in about [0, 1], any h and w (up to `absolute_positions`). The
            image is padded by reflection at its lower and right edge to a multiple of the window, or to
            `absolute_positions` (by replication if it is too small to reflect).

        Returns
        -------
        torch.Tensor
            Shape ``(b, out_channels, h * scale, w * scale)``.

        Raises
        ------
        ValueError
            If the image is larger than `absolute_positions`.
        """
        return self.last(self.inner(self.first(image)), image)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Published files contain masks and position indices as buffers, for the image size of their training.
        for key in [key for key in state_dict if key.endswith((".attn_mask", ".relative_position_index"))]:
            del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args)

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
from napari_restore.networks.upsampling import pixel_shuffle_steps
from napari_restore.networks.windows import Group, Layouts, relative_position_index, window_layouts

__all__ = ["DIV2K_MEAN", "UPSAMPLING_FEATURES", "Head", "ResidualConv", "SwinIR"]

Head = Literal["pixelshuffle", "pixelshuffledirect", "nearest+conv", "none"]
ResidualConv = Literal["1conv", "3conv"]

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of the training photographs, which every three-channel model subtracts; it is not in the state dict."""

UPSAMPLING_FEATURES = 64
"""Number of features in the upsampling heads of all published models."""
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
        """Apply the layer to ``(windows, images, pixels, c)``, with the windows in the order of the groups."""
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

    Raises
    ------
    ValueError
        If `head` is unknown, or does not exist for `scale`.
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
    ) -> None:
        super().__init__()
        out_channels = in_channels if out_channels is None else out_channels
        if mean is None:
            mean = DIV2K_MEAN if in_channels == 3 else (0.0,) * in_channels
        self.window, self.scale, self.head, self.img_range = window, scale, head, img_range
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self._layouts: dict[tuple[int, int, torch.device], Layouts] = {}

        self.conv_first = nn.Conv2d(in_channels, embed_dim, 3, padding=1)
        self.patch_embed = _PatchNorm(embed_dim) if patch_norm else nn.Identity()
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
        layouts = self._layouts_for(x.shape[1], x.shape[2], x.device)
        for block in self.layers:
            x = block(x, layouts)
        x = rearrange(self.norm(x), "b h w c -> b c h w")
        return self.conv_after_body(x) + shallow  # type: ignore[no-any-return]

    def _normalised(self, image: Tensor) -> Tensor:
        """Pad an image to whole windows, and normalise it to the values that the network was trained on."""
        height, width = image.shape[-2:]
        pad_y, pad_x = -height % self.window, -width % self.window
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
            Shape ``(b, in_channels, h, w)``, values in about [0, 1], any h and w. The image is padded by reflection at
            its lower and right edge to a multiple of the window (by replication if it is too small to reflect).

        Returns
        -------
        torch.Tensor
            Shape ``(b, out_channels, h * scale, w * scale)``.
        """
        return self.last(self.inner(self.first(image)), image)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Published files contain masks and position indices as buffers, for the image size of their training.
        for key in [key for key in state_dict if key.endswith((".attn_mask", ".relative_position_index"))]:
            del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args)

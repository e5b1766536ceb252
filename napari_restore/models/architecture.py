"""Infer the network of a state dict and its hyper-parameters from keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor, nn

from napari_restore.errors import ModelError
from napari_restore.models.card import Architecture
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import UPSAMPLING_FEATURES, SwinIR

__all__ = ["build", "infer_architecture"]

State = Mapping[str, Tensor]


def build(architecture: Architecture, hyperparameters: Mapping[str, Any]) -> nn.Module:
    """Build a network with random weights, in evaluation mode.

    Parameters
    ----------
    architecture : {"restormer", "swinir"}
        The network.
    hyperparameters : mapping of str to object
        Keyword arguments of its class.

    Returns
    -------
    torch.nn.Module
        On the CPU, float32.
    """
    network: nn.Module = {"restormer": Restormer, "swinir": SwinIR}[architecture](**hyperparameters)
    return network.eval()


def infer_architecture(state: State) -> tuple[Architecture, dict[str, Any]]:
    """Infer the network of a state dict and the keyword arguments of its class.

    Two hyper-parameters of SwinIR do not follow from shapes. ``img_range`` is assumed to be 255 for window 7 (the JPEG
    models) and 1 otherwise, as in all published files. The mean is the default for the number of channels.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Parameters by name.

    Returns
    -------
    architecture : {"restormer", "swinir"}
        The network.
    hyperparameters : dict of str to object
        Keyword arguments of its class.

    Raises
    ------
    ModelError
        If the keys belong to neither network, or contradict each other.
    """
    try:
        if "patch_embed.proj.weight" in state and "latent.0.attn.temperature" in state:
            return "restormer", _restormer(state)
        if "conv_first.weight" in state and "layers.0.residual_group.blocks.0.attn.qkv.weight" in state:
            return "swinir", _swinir(state)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(
            f"the checkpoint looks like a known network, but is incomplete or of a kind that cannot be run: {error}"
        ) from error
    example = ", ".join(list(state)[:3]) or "none at all"
    raise ModelError(
        f"the checkpoint's parameters ({example}, ...) belong to neither Restormer nor SwinIR; "
        "only these two networks can be run."
    )


def _count(state: State, prefix: str) -> int:
    """Count the numbered children of `prefix` in the state dict."""
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    indices = {int(match[1]) for key in state if (match := pattern.match(key))}
    if indices != set(range(len(indices))) or not indices:
        raise KeyError(f"{prefix}.0 to {prefix}.{max(indices, default=0)} are not all present")
    return len(indices)


def _expansion(state: State, dim: int) -> float:
    """Return the expansion with the fewest digits that gives every level's width, ``int(channels * expansion)``."""
    stages = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
    channels = [dim * 2**level for level in range(4)]
    hidden = [state[f"{stage}.0.ffn.project_out.weight"].shape[1] for stage in stages]
    for digits in range(6):
        for rounding in (0, 1):
            candidate: float = round(int(hidden[-1] / channels[-1] * 10**digits + rounding) / 10**digits, digits)
            if [int(count * candidate) for count in channels] == hidden:
                return candidate
    raise ValueError(f"feed-forward widths {hidden} follow no common expansion of {channels}")


def _restormer(state: State) -> dict[str, Any]:
    dim, in_channels = state["patch_embed.proj.weight"].shape[:2]
    stages = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
    return {
        "in_channels": in_channels,
        "out_channels": state["output.weight"].shape[0],
        "dim": dim,
        "blocks": tuple(_count(state, stage) for stage in stages),
        "refinement_blocks": _count(state, "refinement"),
        "heads": tuple(state[f"{stage}.0.attn.temperature"].shape[0] for stage in stages),
        "expansion": _expansion(state, dim),
        "bias": "latent.0.attn.qkv.bias" in state,
        "layer_norm": "WithBias" if "latent.0.norm1.body.bias" in state else "BiasFree",
        "dual_pixel": "skip_conv.weight" in state,
    }


def _swinir_head(state: State) -> tuple[str, int]:
    """Return the reconstruction head and its scale."""
    if "conv_up1.weight" in state:
        return "nearest+conv", 4 if "conv_up2.weight" in state else 2
    if "conv_before_upsample.0.weight" in state:
        if state["upsample.0.weight"].shape[0] == 9 * state["upsample.0.weight"].shape[1]:
            return "pixelshuffle", 3
        steps = sum(bool(re.fullmatch(r"upsample\.\d+\.weight", key)) for key in state)
        return "pixelshuffle", 2**steps
    if "upsample.0.weight" in state:
        in_channels = state["conv_first.weight"].shape[1]
        return "pixelshuffledirect", isqrt(state["upsample.0.weight"].shape[0] // in_channels)
    return "none", 1


def _swinir(state: State) -> dict[str, Any]:
    embed_dim, in_channels = state["conv_first.weight"].shape[:2]
    layers = _count(state, "layers")
    first = [f"layers.{index}.residual_group.blocks.0" for index in range(layers)]
    tables = [state[f"{block}.attn.relative_position_bias_table"] for block in first]
    window = (isqrt(tables[0].shape[0]) + 1) // 2
    head, scale = _swinir_head(state)
    return {
        "in_channels": in_channels,
        "out_channels": state["conv_last.weight"].shape[0] if "conv_last.weight" in state else in_channels,
        "embed_dim": embed_dim,
        "depths": tuple(_count(state, f"layers.{index}.residual_group.blocks") for index in range(layers)),
        "heads": tuple(table.shape[1] for table in tables),
        "window": window,
        "mlp_ratio": state[f"{first[0]}.mlp.fc1.weight"].shape[0] / embed_dim,
        "scale": scale,
        "head": head,
        "residual_conv": "3conv" if "conv_after_body.0.weight" in state else "1conv",
        "img_range": 255.0 if window == 7 else 1.0,
        **_swinir_variant(state, first[0]),
    }


def _swinir_variant(state: State, block: str) -> dict[str, Any]:
    """Return the hyper-parameters in which a checkpoint differs from all published files."""
    found: dict[str, Any] = {}
    if "absolute_pos_embed" in state:
        positions = state["absolute_pos_embed"].shape[1]
        side = isqrt(positions)
        if side**2 != positions:
            raise ValueError(
                f"it has absolute positions (absolute_pos_embed) for {positions} pixels, which are no square image; "
                "train it on square images, or with ape=False"
            )
        found["absolute_positions"] = side
    if f"{block}.attn.qkv.bias" not in state:
        found["qkv_bias"] = False
    if "patch_embed.norm.weight" not in state:
        found["patch_norm"] = False
    before = state.get("conv_before_upsample.0.weight")
    if before is not None and before.shape[0] != UPSAMPLING_FEATURES:
        found["features"] = before.shape[0]
    return found

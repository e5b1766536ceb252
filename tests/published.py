"""Hyper-parameters of the published checkpoints and the number of parameters each must have.

Counts of the super-resolution, gray denoising and Restormer files are those of the published files; the other three
(colour denoising, JPEG) were counted in spandrel 0.4.2's network.
"""

from __future__ import annotations

from typing import Any

_MEDIUM: dict[str, Any] = {"embed_dim": 180, "depths": (6,) * 6, "heads": (6,) * 6, "window": 8}
_SMALL: dict[str, Any] = {"embed_dim": 60, "depths": (6,) * 4, "heads": (6,) * 4, "window": 8}
_LARGE: dict[str, Any] = {"embed_dim": 240, "depths": (6,) * 9, "heads": (8,) * 9, "window": 8}
_JPEG: dict[str, Any] = {**_MEDIUM, "window": 7, "img_range": 255.0}


def _swinir(base: dict[str, Any], channels: int, scale: int, head: str, **more: Any) -> dict[str, Any]:
    return {**base, "in_channels": channels, "out_channels": channels, "scale": scale, "head": head, **more}


_COUNTS = {2: 11_752_487, 3: 11_937_127, 4: 11_900_199, 8: 12_047_911}
_SMALL_COUNTS = {2: 910_152, 3: 918_267, 4: 929_628}
_REAL_COUNTS = {2: 11_678_631, 4: 11_715_559}

SWINIR: dict[str, tuple[dict[str, Any], int, int]] = {
    # name: (hyper-parameters, size of the training patches, parameters)
    **{
        f"classical-{data}-x{scale}": (_swinir(_MEDIUM, 3, scale, "pixelshuffle"), patch, count)
        for data, patch in (("div2k", 48), ("df2k", 64))
        for scale, count in _COUNTS.items()
    },
    **{
        f"lightweight-x{scale}": (_swinir(_SMALL, 3, scale, "pixelshuffledirect"), 64, count)
        for scale, count in _SMALL_COUNTS.items()
    },
    **{
        f"real-m-x{scale}": (_swinir(_MEDIUM, 3, scale, "nearest+conv"), 64, count)
        for scale, count in _REAL_COUNTS.items()
    },
    "real-l-x4": (_swinir(_LARGE, 3, 4, "nearest+conv", residual_conv="3conv"), 64, 28_013_059),
    "gray-denoise": (_swinir(_MEDIUM, 1, 1, "none"), 128, 11_497_681),
    "colour-denoise": (_swinir(_MEDIUM, 3, 1, "none"), 128, 11_504_163),
    "gray-jpeg": (_swinir(_JPEG, 1, 1, "none"), 126, 11_485_585),
    "colour-jpeg": (_swinir(_JPEG, 3, 1, "none"), 126, 11_492_067),
}

RESTORMER: dict[str, tuple[dict[str, Any], int]] = {
    # name: (hyper-parameters, parameters)
    "gaussian-gray": ({"in_channels": 1, "out_channels": 1, "layer_norm": "BiasFree"}, 26_109_076),
    "gaussian-colour-and-real-noise": ({"in_channels": 3, "out_channels": 3, "layer_norm": "BiasFree"}, 26_111_668),
    "motion-defocus-rain": ({"in_channels": 3, "out_channels": 3, "layer_norm": "WithBias"}, 26_126_644),
    "dual-pixel": (
        {"in_channels": 6, "out_channels": 3, "layer_norm": "WithBias", "dual_pixel": True},
        26_132_548,
    ),
}
for _parameters, _ in RESTORMER.values():
    _parameters.update(dim=48, blocks=(4, 6, 6, 8), refinement_blocks=4, heads=(1, 2, 4, 8), expansion=2.66, bias=False)

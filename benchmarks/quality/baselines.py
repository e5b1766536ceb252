"""The usual filters, with common settings, which `benchmarks.quality` compares with the bundled denoisers.

Filters that need to be told the noise's standard deviation estimate it from the image's finest wavelet coefficients
(`skimage.restoration.estimate_sigma`). Each is also run between a generalised Anscombe transform, with the
noise that `napari_restore.intensity.estimate_noise` finds, and its exact unbiased inverse: noise then has a standard
deviation of 1 everywhere, and that is what the filter is told.

Wavelets and that estimate need PyWavelets, BM3D and Noise2Void the packages `bm3d` (for non-commercial use) and
`careamics`, none of which napari-restore needs. Where one is not installed, its rows
are left as the JSON file has them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import restoration

from benchmarks.quality.noise2void import noise2void
from benchmarks.quality.records import WITHOUT_TILES
from napari_restore import api
from napari_restore.intensity import estimate_noise
from napari_restore.intensity.stabilise import CameraNoise

__all__ = ["FILTERS", "STABILISED", "Denoiser", "baselines", "bundled_denoisers", "denoiser_otherwise"]

Plane = NDArray[np.floating]
Denoiser = Callable[[NDArray[np.generic]], NDArray[np.generic]]
Filter = Callable[[Plane, float | None], Plane]
"""A plane and the standard deviation of its noise, or None where that is to be estimated."""

STABILISED = ", stabilised"
"""End of the name of a row that was run on stabilised noise."""

TV_WEIGHT = 1.0  # of Chambolle's total variation, in standard deviations of the noise


def in_unit_range(filtered: Filter) -> Filter:
    """Scale a plane to [0, 1] first, for which some of the libraries' defaults are meant."""

    def run(plane: Plane, sigma: float | None) -> Plane:
        low, width = float(plane.min()), float(np.ptp(plane)) or 1.0
        unit = (plane.astype(np.float64) - low) / width
        level = float(restoration.estimate_sigma(unit)) if sigma is None else sigma / width
        return filtered(unit, level) * width + low

    return run


def total_variation(plane: Plane, sigma: float | None) -> Plane:
    return restoration.denoise_tv_chambolle(plane, weight=TV_WEIGHT * sigma, eps=1e-5, max_num_iter=300)


def non_local_means(plane: Plane, sigma: float | None) -> Plane:
    return restoration.denoise_nl_means(plane, 5, 6, h=0.8 * sigma, sigma=sigma, fast_mode=True)


def wavelets(plane: Plane, sigma: float | None) -> Plane:
    return restoration.cycle_spin(
        plane, restoration.denoise_wavelet, max_shifts=3, workers=1, func_kw={"sigma": sigma, "wavelet": "sym4"}
    )


def bm3d(plane: Plane, sigma: float | None) -> Plane:
    from bm3d import bm3d as run

    return run(plane, sigma)


UNTOLD: dict[str, Filter] = {
    "Gaussian, σ 1.5": lambda plane, sigma: ndimage.gaussian_filter(plane, 1.5),
    "Gaussian, σ 2": lambda plane, sigma: ndimage.gaussian_filter(plane, 2.0),
    "median 5×5": lambda plane, sigma: ndimage.median_filter(plane, 5),
}
TOLD: dict[str, Filter] = {
    "total variation": in_unit_range(total_variation),
    "wavelets": in_unit_range(wavelets),
    "NL-means": in_unit_range(non_local_means),
    **({"BM3D": in_unit_range(bm3d)} if find_spec("bm3d") else {}),
}
FILTERS = UNTOLD | (TOLD if find_spec("pywt") else {})


def stabilised(filtered: Filter) -> Denoiser:
    """Run a filter on values whose noise has a standard deviation of 1 everywhere, and bring them back unbiased."""

    def run(image: NDArray[np.generic]) -> Plane:
        plane = image.astype(np.float64)
        noise = estimate_noise(plane)
        camera = CameraNoise.from_estimate(noise) if noise else None
        return camera.invert(filtered(camera.stabilise(plane), 1.0)) if camera else filtered(plane, None)

    return run


def per_channel(denoise: Denoiser) -> Denoiser:
    def run(image: NDArray[np.generic]) -> NDArray[np.generic]:
        if image.ndim == 2:
            return denoise(image)
        return np.stack([denoise(image[..., channel]) for channel in range(image.shape[-1])], -1)

    return run


def baselines() -> dict[str, Denoiser]:
    """Everything that is not ours, by name; the noisy image itself first."""
    rows: dict[str, Denoiser] = {"noisy": lambda image: image}
    for name, filtered in FILTERS.items():
        rows[name] = per_channel(partial(_estimating, filtered))
        rows[name + STABILISED] = per_channel(stabilised(filtered))
    if find_spec("careamics"):
        rows["Noise2Void"] = per_channel(noise2void)
    return rows


def _estimating(filtered: Filter, image: NDArray[np.generic]) -> Plane:
    return filtered(image.astype(np.float64), None)


def bundled_denoisers() -> dict[str, Denoiser]:
    """The models of the package, no setting touched."""
    return {
        card.name: partial(_restored, card.name) for card in api.models() if card.bundled and card.task == "denoise"
    }


def denoiser_otherwise() -> dict[str, Denoiser]:
    """The default model in ways that are not its default.

    Without tiles, on the whole image at once, it shows what of our seams are the network's own; between a generalised
    Anscombe transform and its inverse, whether a blind network gains by them.
    """

    def whole(image: NDArray[np.generic]) -> NDArray[np.generic]:
        return _restored(api.DENOISER, image, tile=-(-max(image.shape[:2]) // 8) * 8)

    def stable(image: NDArray[np.generic]) -> NDArray[np.generic]:
        return _restored(api.DENOISER, image, intensity="poisson-gaussian")

    return {api.DENOISER + WITHOUT_TILES: whole, api.DENOISER + STABILISED: stable}


def _restored(name: str, image: NDArray[np.generic], **settings: Any) -> NDArray[np.generic]:
    axes = "YXS" if image.ndim == 3 else "YX"
    result: NDArray[np.generic] = api.denoise(image, model=name, axes=axes, dtype="float32", **settings)
    return result

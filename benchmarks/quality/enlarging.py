"""Super-resolution for `benchmarks.quality`: images, methods and scores.

A clean micrograph, binned 2x2 beforehand so that it is sharp, is the truth; the mean of each ``scale x scale`` of its
pixels is the small image, as a camera with larger pixels would have recorded it through the same optics. So the point
spread function between the two is the larger pixel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import restoration
from skimage.transform import resize

from benchmarks.quality.sets import MICROGRAPHS, clean_structure, real_truths
from napari_restore import api
from napari_restore.quality import frc_resolution, psnr, ssim

__all__ = ["COLUMNS", "GENERATED", "NOISE", "enlargers", "score_enlarged", "small_images"]

Plane = NDArray[np.floating]
Enlarger = Callable[[Plane, int], Plane]

COLUMNS = ("psnr", "ssim", "consistency", "resolution", "seconds")
NOISE = 0.02
"""Standard deviation of the noise of the noisy small images, as a share of the range."""
GENERATED = "generated "
"""Start of the names of images that are not a microscope's."""
ITERATIONS = 10  # of Richardson and Lucy; more bring out noise, fewer leave blur


def truths(folder: Path) -> Iterator[tuple[str, Plane]]:
    yield from real_truths(folder)
    for kind in MICROGRAPHS:
        yield GENERATED + kind, clean_structure(kind, 256, number=1)


def small_images(folder: Path, scale: int, noise: float) -> Iterator[tuple[str, Plane, Plane, Plane]]:
    """Name, truth, its small image, and the small image as the camera saw it."""
    for number, (name, truth) in enumerate(truths(folder)):
        small = binned(truth, scale)
        seen = small + noise * np.random.default_rng([0, number]).standard_normal(small.shape)
        yield name, truth, small, seen.astype(np.float32)


def binned(plane: Plane, scale: int) -> Plane:
    height, width = (size // scale for size in plane.shape)
    means: Plane = plane.reshape(height, scale, width, scale).mean((1, 3))
    return means


def bicubic(small: Plane, scale: int) -> Plane:
    return resize(small.astype(np.float64), [size * scale for size in small.shape], order=3, mode="reflect")


def lanczos(small: Plane, scale: int) -> Plane:
    size = (small.shape[1] * scale, small.shape[0] * scale)
    return np.asarray(Image.fromarray(small.astype(np.float32)).resize(size, Image.Resampling.LANCZOS))


def richardson_lucy(small: Plane, scale: int) -> Plane:
    """Bicubic interpolation, sharpened by the larger pixel and the interpolation's own blur: a box of that size."""
    large, low = bicubic(small, scale), float(small.min())
    point_spread = np.full((scale, scale), 1 / scale**2)
    if scale % 2 == 0:  # an even box would move the image by half a pixel
        point_spread = np.full((scale + 1, scale + 1), 1.0)
        point_spread[[0, -1]] /= 2
        point_spread[:, [0, -1]] /= 2
        point_spread /= point_spread.sum()
    padded = np.pad(np.maximum(large - low, 1e-4), 4 * scale, mode="reflect")
    sharp = restoration.richardson_lucy(padded, point_spread, num_iter=ITERATIONS, clip=False)
    return sharp[4 * scale : -4 * scale, 4 * scale : -4 * scale] + low


def enlargers(scale: int) -> tuple[dict[str, Enlarger], dict[str, Enlarger]]:
    """The usual ways to enlarge, and the bundled models of this scale: at once, and after denoising."""
    models: dict[str, Enlarger] = {
        card.name: partial(_restored, card.name)
        for card in api.models()
        if card.bundled and card.task == "super-resolve" and card.scale == scale and card.in_channels == 1
    }
    others: dict[str, Enlarger] = {"bicubic": bicubic, "Lanczos": lanczos, "Richardson-Lucy": richardson_lucy}
    first = {
        f"{api.DENOISER}, then {name}": partial(_denoised, run) for name, run in {**models, "bicubic": bicubic}.items()
    }
    return others, {**models, **first}


def _restored(model: str, small: Plane, scale: int) -> Plane:
    result: Plane = api.super_resolve(small, scale=scale, model=model, axes="YX")
    return result


def _denoised(enlarge: Enlarger, small: Plane, scale: int) -> Plane:
    return enlarge(np.asarray(api.denoise(small, axes="YX")), scale)


def score_enlarged(enlarge: Enlarger, truth: Plane, small: Plane, seen: Plane, scale: int) -> list[float]:
    """`COLUMNS` of one result; consistency is its root-mean-square error once it is binned again."""
    began = time.process_time()
    result = np.asarray(enlarge(seen, scale), np.float64)
    seconds = time.process_time() - began
    error = float(np.sqrt(np.mean((binned(result, scale) - small) ** 2)))
    scores = (psnr(truth, result, 1.0), ssim(truth, result, 1.0), error, frc_resolution(result, truth), seconds)
    return [float(f"{value:.4g}") for value in scores]

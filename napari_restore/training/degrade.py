"""From a clean crop to what a camera would have recorded: the two training tasks.

Everything works on batches ``(b, 1, h, w)`` float32 in about [0, 1], with all randomness from the generator given.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["blurred", "camera_noise", "denoising_pair", "super_resolution_pair"]


def _per_image(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).reshape(-1, 1, 1, 1)


def _log_uniform(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    return np.exp(rng.uniform(np.log(low), np.log(high), count))


def blurred(batch: Tensor, sigma: Tensor) -> Tensor:
    """Convolve each image with its own Gaussian, ``sigma (b, 1, 1, 1)`` in pixels, reflecting at the borders."""
    radius = max(int(np.ceil(3 * float(sigma.max()))), 1)
    offset = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offset / sigma.clamp(min=0.05).reshape(-1, 1)) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    count = batch.shape[0]
    x = F.pad(batch, (radius, radius, radius, radius), mode="reflect").transpose(0, 1)
    x = F.conv2d(x, kernel.reshape(count, 1, -1, 1), groups=count)
    return F.conv2d(x, kernel.reshape(count, 1, 1, -1), groups=count).transpose(0, 1)


def camera_noise(clean: Tensor, rng: np.random.Generator, total: Tensor) -> Tensor:
    """Add camera noise to `clean` and return the noisy batch.

    `total` ``(b, 1, 1, 1)`` is the root-mean-square noise of each image in units of the range; photon noise, whose
    variance is proportional to the signal, makes up a random share of it and signal-independent read noise the rest.
    Noise of two images in five is correlated between neighbours, as detectors, resampling and compression leave it;
    some images carry line noise, some are quantised to few levels, some are clipped at their black level.
    """
    count, _, height, width = clean.shape
    share = _per_image(np.clip(rng.uniform(-0.3, 1.3, count), 0, 1))
    signal = clean - clean.amin((1, 2, 3), keepdim=True) + _per_image(rng.uniform(0, 0.05, count))
    photon_variance = share * signal / signal.mean((1, 2, 3), keepdim=True)
    variance = total**2 * (photon_variance + 1 - share)
    white = torch.from_numpy(rng.standard_normal((count, 1, height, width), dtype=np.float32))
    # Photon counts of a dim image are skewed: a gamma-distributed deviate of the same variance is, a normal one is not.
    shape = (signal / (total**2 * share / signal.mean((1, 2, 3), keepdim=True) + 1e-6)).clamp(0.05, 1e4)
    skewed = torch.from_numpy(rng.standard_gamma(shape.numpy()).astype(np.float32))
    skewed = (skewed - shape) / shape.sqrt()
    is_photon = torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.5) & (share > 0.5)
    white = torch.where(is_photon, skewed, white)

    correlated = _per_image(np.where(rng.random(count) < 0.4, rng.uniform(0.4, 1.1, count), 0.0))
    smooth = blurred(white, correlated)
    smooth = smooth / smooth.std((1, 2, 3), keepdim=True).clamp(min=1e-3)
    noise = torch.where(correlated > 0, smooth, white) * variance.sqrt()
    lines = torch.from_numpy(rng.standard_normal((count, 1, height, 1), dtype=np.float32))
    noise = noise + lines * total * _per_image(np.where(rng.random(count) < 0.1, rng.uniform(0.1, 0.4, count), 0.0))

    noisy = clean + noise
    levels = _per_image(np.where(rng.random(count) < 0.3, _log_uniform(rng, 24, 400, count), 1e6))
    noisy = torch.round(noisy * levels) / levels
    black = torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.25)
    return torch.where(black, noisy.clamp(min=0.0), noisy)


def denoising_pair(clean: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Input and target of a blind denoiser: random contrast and offset, noise from 0.8 % to 28 % of the contrast."""
    count = clean.shape[0]
    contrast = _per_image(_log_uniform(rng, 0.25, 1.3, count))
    target = clean * contrast + _per_image(rng.uniform(-0.02, 0.25, count) * (rng.random(count) < 0.7))
    return camera_noise(target, rng, contrast * _per_image(_log_uniform(rng, 0.008, 0.28, count))), target


def super_resolution_pair(clean: Tensor, rng: np.random.Generator, scale: int) -> tuple[Tensor, Tensor]:
    """Input and target of a super-resolution network: optics, binning by `scale`, a little camera noise.

    The target is band-limited by a Gaussian point spread function, so the network is never asked for detail that
    optics of about that resolution would not have passed. Pixels of the input are means of ``scale x scale`` target
    pixels, so its grid lies half a pixel off, as it does for a camera with larger pixels.
    """
    count = clean.shape[0]
    contrast = _per_image(_log_uniform(rng, 0.3, 1.2, count))
    target = clean * contrast + _per_image(rng.uniform(0, 0.2, count))
    target = blurred(target, _per_image(rng.uniform(0.0, 0.9, count)))
    small = F.avg_pool2d(target, scale)
    antialiased = F.interpolate(target, scale_factor=1 / scale, mode="bicubic", antialias=True, align_corners=False)
    small = torch.where(torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.3), antialiased, small)
    quiet = torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.4)
    return torch.where(
        quiet, small, camera_noise(small, rng, contrast * _per_image(_log_uniform(rng, 0.001, 0.05, count)))
    ), target

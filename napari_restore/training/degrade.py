"""Make training pairs: degrade a clean crop to what a camera would have recorded.

All functions take batches ``(b, c, h, w)`` float32 in about [0, 1], on the device of the generator, the source of all
randomness. If the crops are on a GPU, pairs are made there.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from napari_restore.training.draw import chance, log_uniform, normal, uniform

__all__ = ["blurred", "camera_noise", "denoising_pair", "gaussian_pair", "super_resolution_pair"]


def blurred(batch: Tensor, sigma: Tensor) -> Tensor:
    """Convolve each image with its own Gaussian, reflecting at the borders.

    Parameters
    ----------
    batch : torch.Tensor
        Images ``(b, c, h, w)``.
    sigma : torch.Tensor
        Standard deviation of each Gaussian, ``(b, 1, 1, 1)``, in pixels.

    Returns
    -------
    torch.Tensor
        Blurred images ``(b, c, h, w)``.
    """
    radius = min(max(math.ceil(3 * float(sigma.max())), 1), min(batch.shape[-2:]) - 1)
    offset = torch.arange(-radius, radius + 1, dtype=torch.float32, device=batch.device)
    kernel = torch.exp(-0.5 * (offset / sigma.clamp(min=0.05).reshape(-1, 1)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(batch.shape[1], 0)
    planes = batch.shape[0] * batch.shape[1]
    x = F.pad(batch, (radius, radius, radius, radius), mode="reflect").reshape(1, planes, *_padded(batch, radius))
    x = F.conv2d(x, kernel.reshape(planes, 1, -1, 1), groups=planes)
    return F.conv2d(x, kernel.reshape(planes, 1, 1, -1), groups=planes).reshape(batch.shape)


def _padded(batch: Tensor, radius: int) -> tuple[int, int]:
    return batch.shape[-2] + 2 * radius, batch.shape[-1] + 2 * radius


def _photons(signal: Tensor, gain: Tensor, multiplied: Tensor, generator: Generator) -> Tensor:
    """Detect a signal ``(b, c, h, w)`` with a variance of ``gain * signal``, multiplied as in an EMCCD or not.

    An EMCCD turns each electron into an exponentially distributed number of electrons, and `n` electrons into a
    gamma-distributed one (Robbins & Hadwen, IEEE Transactions on Electron Devices 50, 2003), drawn here as Wilson and
    Hilferty's cube of a normal deviate. This doubles the variance, which half the gain compensates.
    """
    unit = torch.where(multiplied, gain / 2, gain)
    counts = torch.poisson(signal / unit, generator=generator)
    spread = normal(generator, tuple(signal.shape)) / (3 * counts.clamp(min=1).sqrt())
    many = counts * (1 - 1 / (9 * counts.clamp(min=1)) + spread).clamp(min=0) ** 3
    return unit * torch.where(multiplied, many, counts)


def camera_noise(clean: Tensor, generator: Generator, total: Tensor) -> Tensor:
    """Add camera noise to clean images.

    Photon noise, whose variance is proportional to the signal, has a random share of the variance, with the excess
    noise of an EMCCD in one image of six; signal-independent read noise has the rest. A third of the images have no
    read noise, and the dark background may be below a thousandth of the range, as that of a photomultiplier is: it then
    tells little about the noise of the structure. The noise of two images in five is correlated between neighbouring
    pixels, as detectors, resampling and compression leave it. Some images have noise of rows or columns, some are
    quantised to few levels, some are clipped at their black level. The noise of two images in five varies as that of
    planes that were averaged with their neighbours (`noise_left`).

    Parameters
    ----------
    clean : torch.Tensor
        Images ``(b, c, h, w)`` in about [0, 1].
    generator : torch.Generator
        Source of all randomness.
    total : torch.Tensor
        Root-mean-square noise of each image before that averaging, ``(b, 1, 1, 1)``, as a share of the range.

    Returns
    -------
    torch.Tensor
        Noisy images ``(b, c, h, w)``.
    """
    count = clean.shape[0]
    share = uniform(generator, count, -0.3, 1.6).clamp(0, 1)
    signal = clean - clean.amin((1, 2, 3), keepdim=True) + log_uniform(generator, count, 3e-4, 0.1)
    gain = (total**2 * share / signal.mean((1, 2, 3), keepdim=True).clamp(min=1e-3)).clamp(min=1e-8)
    noise = _photons(signal, gain, chance(generator, count, 1 / 6), generator) - signal
    noise = noise + normal(generator, tuple(clean.shape)) * total * (1 - share).sqrt()

    correlated = uniform(generator, count, 0.4, 1.1) * chance(generator, count, 0.4)
    smooth = blurred(noise, correlated)
    strength = noise.std((1, 2, 3), keepdim=True) / smooth.std((1, 2, 3), keepdim=True).clamp(min=1e-6)
    noise = torch.where(correlated > 0, smooth * strength, noise)

    shape = (count, *clean.shape[1:])
    rows, columns = (normal(generator, (*shape[:2], *size)) for size in ((shape[2], 1), (1, shape[3])))
    lines = torch.where(chance(generator, count, 0.5), rows, columns)
    noise = noise + lines * total * uniform(generator, count, 0.1, 0.4) * chance(generator, count, 0.1)

    noisy = clean + noise * noise_left(generator, count, tuple(clean.shape[-2:]))
    levels = torch.where(chance(generator, count, 0.3), log_uniform(generator, count, 24, 400), 1e6)
    noisy = torch.round(noisy * levels) / levels
    return torch.where(chance(generator, count, 0.25), noisy.clamp(min=0.0), noisy)


def noise_left(generator: Generator, count: int, size: tuple[int, int]) -> Tensor:
    """Return the share of the noise that an average of neighbouring planes leaves, for each pixel.

    It is 1 in three images of five, which are single planes. In the others it is a smooth map: between what a mean of
    about five planes leaves, where they agree, and 1, where they do not.

    Parameters
    ----------
    generator : torch.Generator
        Source of all randomness.
    count : int
        Number of images.
    size : (int, int)
        Height and width in pixels.

    Returns
    -------
    torch.Tensor
        Shape ``(count, 1, h, w)``, from 0.4 to 1.
    """
    coarse = torch.rand(count, 1, 6, 6, generator=generator, device=generator.device)
    smooth = F.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    agreement = ((smooth - uniform(generator, count, 0.1, 0.9)) * uniform(generator, count, 3, 12)).sigmoid()
    lowest = uniform(generator, count, 0.4, 0.8)
    return torch.where(chance(generator, count, 0.4), 1 - (1 - lowest) * agreement, 1.0)


def denoising_pair(clean: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Make input and target of a blind denoiser: random contrast and offset, noise of 0.8 % to 28 % of the contrast.

    Two images in five are blurred further, by up to 2.5 pixels: many microscopes sample more finely than their optics
    resolve.

    Parameters
    ----------
    clean : torch.Tensor
        Images ``(b, c, h, w)`` in [0, 1].
    generator : torch.Generator
        Source of all randomness.

    Returns
    -------
    tuple of torch.Tensor
        Input and target, ``(b, c, h, w)`` each.
    """
    count = clean.shape[0]
    clean = blurred(clean, uniform(generator, count, 0.4, 2.5) * chance(generator, count, 0.4))
    contrast = log_uniform(generator, count, 0.25, 1.3)
    target = clean * contrast + uniform(generator, count, -0.02, 0.25) * chance(generator, count, 0.7)
    return camera_noise(target, generator, contrast * log_uniform(generator, count, 0.008, 0.28)), target


def gaussian_pair(clean: Tensor, generator: Generator, sigma: float) -> tuple[Tensor, Tensor]:
    """Make input and target of a denoiser for one noise level: independent Gaussian noise.

    Parameters
    ----------
    clean : torch.Tensor
        Images ``(b, c, h, w)`` in [0, 1].
    generator : torch.Generator
        Source of all randomness.
    sigma : float
        Standard deviation of the noise, as a share of the range.

    Returns
    -------
    tuple of torch.Tensor
        Input and target, ``(b, c, h, w)`` each.
    """
    target = clean * log_uniform(generator, clean.shape[0], 0.25, 1.3)
    return target + sigma * normal(generator, tuple(clean.shape)), target


def super_resolution_pair(clean: Tensor, generator: Generator, scale: int) -> tuple[Tensor, Tensor]:
    """Make input and target of a super-resolution network: optics, binning by `scale`, a little camera noise.

    Half of the images have noise of 0.1 to 3 % of the contrast, which is what a denoiser leaves. A small network that
    is trained to remove more noise is worse than interpolation on clean images, and denoising first is better on noisy
    ones (docs/quality.md).

    The target is band-limited by a Gaussian point spread function, so the network does not learn to add detail that
    optics of about that resolution would not have passed. Pixels of the input are means of ``scale x scale`` target
    pixels, so the input grid is shifted by half a pixel, as that of a camera with larger pixels is.

    Parameters
    ----------
    clean : torch.Tensor
        Images ``(b, c, h, w)`` in [0, 1]; height and width are multiples of `scale`.
    generator : torch.Generator
        Source of all randomness.
    scale : int
        Factor between input and target.

    Returns
    -------
    tuple of torch.Tensor
        Input ``(b, c, h // scale, w // scale)`` and target ``(b, c, h, w)``.
    """
    count = clean.shape[0]
    contrast = log_uniform(generator, count, 0.3, 1.2)
    target = clean * contrast + uniform(generator, count, 0, 0.2)
    target = blurred(target, uniform(generator, count, 0.0, 0.45 * scale))
    small = F.avg_pool2d(target, scale)
    antialiased = F.interpolate(target, scale_factor=1 / scale, mode="bicubic", antialias=True, align_corners=False)
    small = torch.where(chance(generator, count, 0.3), antialiased, small)
    noisy = camera_noise(small, generator, contrast * log_uniform(generator, count, 0.001, 0.03))
    return torch.where(chance(generator, count, 0.5), small, noisy), target

"""Losses that need noisy images only, and that of clean images, if there are any.

*Recorrupted to recorrupted*: Pang et al., "Recorrupted-to-Recorrupted: Unsupervised Deep Learning for Image Denoising",
CVPR 2021; for Poisson-Gaussian noise, Monroy, Bacca & Tachella, "Generalized Recorrupted-to-Recorrupted", arXiv
2412.04648. *Blind spot*: Krull, Buchholz & Jug, "Noise2Void", CVPR 2019; masks for correlated noise: Broaddus et al.,
"Removing structured noise with self-supervised blind-spot networks", ISBI 2020. *Neighbouring planes*: Lehtinen et al.,
"Noise2Noise", ICML 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from napari_restore.adapting.choosing import Choice
from napari_restore.adapting.crops import SourceCrop

__all__ = ["Batch", "Pairs", "make_pairs"]

_STRENGTH = 0.2
"""Noise that R2R adds to its input, in standard deviations of the image's noise; its target gets 1 / 0.2. With 0.5, a
network learns for 25 % more variance than the image has, and loses a little on the image itself."""
_MASKED = 0.02
"""Share of the pixels that are predicted without themselves (Noise2Void: 0.2 %, with larger crops and more steps)."""
_LINES = 0.1
"""Share of the lines that are predicted without themselves."""
_AGREES = 3.0
"""Difference of two planes, averaged over 5 x 5 pixels, in its standard deviations, from which they do not agree."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops of one size.

    Attributes
    ----------
    pixels, there, variance : torch.Tensor
        ``(b, c, h, w)``: normalised values, 1 where they are not missing, and the variance of their noise.
    partner : torch.Tensor or None
        The same crops of the next plane, or of the clean image.
    lines : torch.Tensor or None
        ``(b, 2)``: variance of the offsets of rows and of columns.
    """

    pixels: Tensor
    there: Tensor
    variance: Tensor
    partner: Tensor | None = None
    lines: Tensor | None = None

    @classmethod
    def of(cls, crops: Sequence[SourceCrop]) -> Batch:
        """Stack crops."""
        partners = [crop.partner for crop in crops if crop.partner is not None]
        return cls(
            _stacked([crop.pixels for crop in crops]),
            _stacked([crop.there.astype(np.float32) for crop in crops]),
            _stacked([crop.variance for crop in crops]),
            _stacked(partners) if len(partners) == len(crops) else None,
            torch.tensor([crop.lines for crop in crops], dtype=torch.float32),
        )

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Join batches."""
        partners = [batch.partner for batch in batches if batch.partner is not None]
        return cls(
            torch.cat([batch.pixels for batch in batches]),
            torch.cat([batch.there for batch in batches]),
            torch.cat([batch.variance for batch in batches]),
            torch.cat(partners) if len(partners) == len(batches) else None,
            torch.cat([batch.lines for batch in batches if batch.lines is not None]),
        )

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to all images."""
        partner = None if self.partner is None else change(self.partner)
        return Batch(change(self.pixels), change(self.there), change(self.variance), partner, self.lines)


def _stacked(planes: Sequence[npt.NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(planes))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Inputs of a network, and targets whose noise is independent of that of the inputs.

    Attributes
    ----------
    source, target, weights : torch.Tensor
        ``(n, c, h, w)``; the weight of each pixel is 0 or 1. `n` is the number of crops, or twice as many for R2R.
    scale : torch.Tensor
        Mean variance of the noise of each crop, ``(n, 1, 1, 1)``.
    plain : torch.Tensor or None
        For R2R, the target without added noise. Only the rest of the loss depends on the variances that were estimated.
    lines : torch.Tensor or None
        For R2R, the offsets of lines in the noise that was added to the target.
    """

    source: Tensor
    target: Tensor
    weights: Tensor
    scale: Tensor
    plain: Tensor | None = None
    lines: Tensor | None = None

    def errors(self, result: Tensor) -> Tensor:
        """Return squared errors of a result, in mean variances of the noise."""
        return (result - self.target).square() / self.scale

    def loss(self, result: Tensor) -> Tensor:
        """Return the mean squared error of a result."""
        return (self.errors(result) * self.weights).sum() / self.weights.sum().clamp(min=1)


def make_pairs(batch: Batch, choice: Choice, generator: Generator) -> Pairs:
    """Make the pairs of a self-supervision.

    Parameters
    ----------
    batch : Batch
        The crops.
    choice : Choice
        The self-supervision.
    generator : torch.Generator
        Source of all random numbers, on the CPU, so that they are the same on every device.

    Returns
    -------
    Pairs
        Inputs and targets.
    """
    makers = {"r2r": _recorrupted, "noise2void": _blind, "noise2noise": _next_plane, "supervised": _clean}
    return makers[choice.method](batch, choice, generator)


def _recorrupted(batch: Batch, choice: Choice, generator: Generator) -> Pairs:
    """Add noise to the input, and subtract it from the target so much stronger that both are independent.

    Offsets of lines are noise like any other: a row of pixels gets one number. Each draw is used with both signs: most
    of the noise that it adds to the gradient cancels.
    """
    device, shape, scale = batch.pixels.device, batch.pixels.shape, _mean_variance(batch)
    drawn = torch.randn(shape, generator=generator).to(device) * batch.variance.sqrt()
    lines = torch.zeros_like(drawn)
    if choice.lines and batch.lines is not None:
        rows = choice.lines == "X"
        variance = batch.lines[:, 0 if rows else 1].reshape(-1, 1, 1, 1).to(device)
        offsets = torch.randn((*shape[:2], shape[2] if rows else 1, 1 if rows else shape[3]), generator=generator)
        lines, scale = lines + offsets.to(device) * variance.sqrt(), scale + variance
    added, lines = (torch.cat([each, -each]) for each in (drawn + lines, lines))
    pixels, there, scale = (torch.cat([each, each]) for each in (batch.pixels, batch.there, scale))
    return Pairs(pixels + _STRENGTH * added, pixels - added / _STRENGTH, there, scale, pixels, -lines / _STRENGTH)


def _blind(batch: Batch, choice: Choice, generator: Generator) -> Pairs:
    """Replace pixels, and those whose noise is correlated with theirs, by others nearby; predict the pixels."""
    if choice.lines:
        turned = choice.lines == "Y"
        pixels = batch.pixels.mT if turned else batch.pixels
        source, masked = _without_lines(pixels, generator)
        source, masked = (source.mT, masked.mT) if turned else (source, masked)
        return Pairs(source, batch.pixels, masked * batch.there, _mean_variance(batch))
    (reach_y, reach_x), shape = choice.reach, batch.pixels.shape
    hidden = (2 * reach_y + 1) * (2 * reach_x + 1)
    share = _MASKED / hidden**0.5
    masked = (torch.rand(shape[0], 1, *shape[2:], generator=generator) < share).float().to(batch.pixels.device)
    wide = F.max_pool2d(masked, (2 * reach_y + 1, 2 * reach_x + 1), 1, (reach_y, reach_x)) > 0
    source = torch.where(wide, _from_nearby(batch.pixels, reach_y + 2, reach_x + 2, generator), batch.pixels)
    return Pairs(source, batch.pixels, masked * batch.there, _mean_variance(batch))


def _from_nearby(pixels: Tensor, far_y: int, far_x: int, generator: Generator) -> Tensor:
    """Give each pixel the value of a random one up to so many pixels away, mirrored at the border."""
    at = []
    for axis, far in ((-2, far_y), (-1, far_x)):
        length = pixels.shape[axis]
        shift = torch.randint(-far, far + 1, (len(pixels), 1, *pixels.shape[2:]), generator=generator)
        own = torch.arange(length).reshape((length, 1) if axis == -2 else (1, length))
        index = (own + shift).abs()
        at.append(torch.where(index > length - 1, 2 * (length - 1) - index, index))
    flat = (at[0] * pixels.shape[-1] + at[1]).flatten(2).expand(-1, pixels.shape[1], -1).to(pixels.device)
    return pixels.flatten(2).gather(2, flat).reshape(pixels.shape)


def _without_lines(pixels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Replace whole rows by the row before or after them; return the input and the mask of these rows."""
    count, _, height, _ = pixels.shape
    rows = torch.rand(count, 1, height, 1, generator=generator) < _LINES
    step = torch.where(torch.rand(count, 1, height, 1, generator=generator) < 0.5, -1, 1)
    index = (torch.arange(height).reshape(1, 1, height, 1) + step).abs()
    index = torch.where(index > height - 1, height - 2, index).to(pixels.device)
    rows = rows.to(pixels.device).expand(pixels.shape)
    return torch.where(rows, pixels.gather(2, index.expand(pixels.shape)), pixels), rows.float()


def _next_plane(batch: Batch, choice: Choice, generator: Generator) -> Pairs:
    """Predict the next plane from a plane, or the other way round, where their local means agree."""
    assert batch.partner is not None
    difference = F.avg_pool2d(batch.partner - batch.pixels, 5, 1, 2, count_include_pad=False)
    agree = difference.square() < _AGREES**2 * 2 * batch.variance * _of_mean(choice.correlation)
    chance = 0.0 if choice.averaged else 0.5  # a run averages planes too: a single one is no input of the network
    swapped = (torch.rand(len(batch.pixels), 1, 1, 1, generator=generator) < chance).to(batch.pixels.device)
    source = torch.where(swapped, batch.partner, batch.pixels)
    target = torch.where(swapped, batch.pixels, batch.partner)
    return Pairs(source, target, agree * batch.there, _mean_variance(batch))


def _clean(batch: Batch, choice: Choice, generator: Generator) -> Pairs:
    """Predict the clean image."""
    assert batch.partner is not None
    return Pairs(batch.pixels, batch.partner, batch.there, _mean_variance(batch))


def _of_mean(correlation: tuple[float, float], length: int = 5) -> float:
    """Return the variance of a mean of 5 x 5 pixels of noise of variance 1 and of this autocorrelation."""
    lags = np.subtract.outer(np.arange(length), np.arange(length)).astype(float)
    return float(np.prod([np.mean(max(rho, 0.0) ** lags**2) for rho in correlation]))


def _mean_variance(batch: Batch) -> Tensor:
    return batch.variance.mean(dim=(1, 2, 3), keepdim=True)

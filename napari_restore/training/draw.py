"""Random numbers for each image of a batch, from a generator on the batch's own device."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

__all__ = ["chance", "log_uniform", "normal", "uniform"]


def uniform(generator: Generator, count: int, low: float, high: float) -> Tensor:
    """Draw evenly from [low, high), one number for each image: ``(count, 1, 1, 1)`` float32."""
    return torch.rand(count, 1, 1, 1, generator=generator, device=generator.device) * (high - low) + low


def log_uniform(generator: Generator, count: int, low: float, high: float) -> Tensor:
    """Draw from [low, high) so that each factor is as likely as another: ``(count, 1, 1, 1)`` float32."""
    return uniform(generator, count, math.log(low), math.log(high)).exp()


def chance(generator: Generator, count: int, probability: float) -> Tensor:
    """Draw yes or no for each image: ``(count, 1, 1, 1)`` bool."""
    return uniform(generator, count, 0, 1) < probability


def normal(generator: Generator, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal deviates."""
    return torch.randn(shape, generator=generator, device=generator.device)

"""Draw random numbers for each image of a batch, on the device of the generator."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

__all__ = ["chance", "log_uniform", "normal", "uniform"]


def uniform(generator: Generator, count: int, low: float, high: float) -> Tensor:
    """Draw one number per image, uniformly from [low, high): ``(count, 1, 1, 1)`` float32."""
    return torch.rand(count, 1, 1, 1, generator=generator, device=generator.device) * (high - low) + low


def log_uniform(generator: Generator, count: int, low: float, high: float) -> Tensor:
    """Draw one number per image, log-uniformly from [low, high): ``(count, 1, 1, 1)`` float32."""
    return uniform(generator, count, math.log(low), math.log(high)).exp()


def chance(generator: Generator, count: int, probability: float) -> Tensor:
    """Draw True with the given probability, once per image: ``(count, 1, 1, 1)`` bool."""
    return uniform(generator, count, 0, 1) < probability


def normal(generator: Generator, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal deviates of a shape, float32."""
    return torch.randn(shape, generator=generator, device=generator.device)

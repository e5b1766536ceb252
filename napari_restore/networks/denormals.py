"""Denormal numbers, which are slow, and which networks without biases compute on dark images."""

from __future__ import annotations

__all__ = ["denormals_are_zero"]

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_are_zero() -> Iterator[None]:
    """Count denormal numbers as 0 in this thread, and no longer than inside: libraries of the caller may need them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)

"""Judge weights on the crops that were set aside, beside those of the parent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from napari_restore.adapting.choosing import Choice
from napari_restore.adapting.crops import SourceCrop
from napari_restore.adapting.outcome import Judgement
from napari_restore.adapting.self_supervision import Batch, squared_errors

__all__ = ["Judge"]

_BLOCK = 16
"""Side of the blocks whose sums count as independent, in pixels."""
_PIXELS = 2**18
"""Pixels that one judgement computes, about: few crops are drawn several times."""
_DRAWS = 8
"""Times that the random numbers are drawn for each crop at most."""


class Judge:
    """Compares losses of an adapted network with those of its parent: same crops, same random numbers.

    Parameters
    ----------
    held_out : sequence of SourceCrop
        Crops of one size that no step of the training sees.
    choice : Choice
        The self-supervision.
    parent : callable
        The network before adapting.
    device : str
        Device of the network.
    seed : int
        Seed of all random numbers.
    """

    def __init__(
        self, held_out: Sequence[SourceCrop], choice: Choice, parent: Callable[[Tensor], Tensor], device: str, seed: int
    ) -> None:
        self._batches = [Batch.of([crop]).each(lambda values: values.to(device)) for crop in held_out]
        self._choice, self._seed = choice, seed
        pixels = sum(batch.pixels.numel() for batch in self._batches) * (2 if choice.method == "r2r" else 1)
        self._draws = min(_DRAWS, max(1, round(_PIXELS / pixels)))
        self._parent, self._weights = self._sums(parent)

    @property
    def of_parent(self) -> Judgement:
        """The parent beside itself."""
        loss = float(self._parent.sum() / self._weights.sum())
        return Judgement(loss, loss, 0.0)

    def judge(self, network: Callable[[Tensor], Tensor]) -> Judgement:
        """Judge a network.

        Parameters
        ----------
        network : callable
            ``(b, c, h, w) -> (b, c, h, w)``.

        Returns
        -------
        Judgement
            Losses of both, and the standard error of their difference.
        """
        sums, _ = self._sums(network)
        total = float(self._weights.sum())
        difference = self._parent - sums
        mean = float(difference.sum()) / total
        count = int((self._weights > 0).sum())
        scatter = float((difference - mean * self._weights).square().sum()) * count / max(count - 1, 1)
        return Judgement(float(self._parent.sum()) / total, float(sums.sum()) / total, math.sqrt(scatter) / total)

    def _sums(self, network: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Sum weighted errors, and weights, over each block of the crops, in float64."""
        errors, weights = [], []
        generator = Generator().manual_seed(self._seed)
        with torch.no_grad():
            for batch in self._batches:
                drawn = [squared_errors(network, batch, self._choice, generator) for _ in range(self._draws)]
                errors.append(_blocks(sum((error * weight).sum((0, 1)) for error, weight in drawn)))
                weights.append(_blocks(sum(weight.sum((0, 1)) for _, weight in drawn)))
        return torch.cat(errors), torch.cat(weights)


def _blocks(plane: Tensor | float) -> Tensor:
    assert isinstance(plane, Tensor)
    height, width = (min(_BLOCK, length) for length in plane.shape)
    return F.avg_pool2d(plane[None].double(), (height, width), divisor_override=1).flatten().cpu()

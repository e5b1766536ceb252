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
from napari_restore.adapting.self_supervision import Batch, make_pairs

__all__ = ["Judge"]

_BLOCK = 16
"""Side of the blocks whose sums count as independent, in pixels; along lines of noise, they are as long as the crop."""
_PIXELS = 2**18
"""Pixels that one judgement computes, about: few crops are drawn several times."""
_DRAWS = 8
"""Times that the random numbers are drawn for each crop at most."""

_VARIANCES = (0.7, 1.0, 1.4)
"""Factors of the estimated variance of the noise for which R2R has to have a lower loss: the standard deviation is
estimated within 19 % (`napari_restore.intensity.noise`). Weights that are better for one of them only fit a wrong
estimate: they smooth too much or too little."""


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
        loss = float(self._parent[0].sum() / self._weights.sum())
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
            Losses of both, and the standard error of their difference. For R2R, the loss of the adapted network is
            that for the variance of the noise, among those that the estimate allows, for which it has gained least.
        """
        sums, _ = self._sums(network)
        total = float(self._weights.sum())
        count = int((self._weights > 0).sum())
        found = []
        for factor in _VARIANCES if self._choice.method == "r2r" else (1.0,):
            whole, plain = self._parent - sums
            difference = plain + factor * (whole - plain)
            mean = float(difference.sum()) / total
            scatter = float((difference - mean * self._weights).square().sum()) * count / max(count - 1, 1)
            found.append((mean, math.sqrt(scatter) / total))
        mean, error = min(found)
        loss = float(self._parent[0].sum()) / total
        return Judgement(loss, loss - mean, error)

    def _sums(self, network: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Sum errors and weights over each block, in float64.

        Returns
        -------
        sums : torch.Tensor
            ``(2, blocks)``: of the errors, and of the part of them that does not depend on the estimated variance.
        weights : torch.Tensor
            ``(blocks,)``.
        """
        sums, weights = [], []
        generator = Generator().manual_seed(self._seed)
        with torch.no_grad():
            for batch in self._batches:
                drawn = torch.zeros(3, *batch.pixels.shape[-2:], dtype=torch.float64)
                for _ in range(self._draws):
                    pairs = make_pairs(batch, self._choice, generator)
                    result = network(pairs.source)
                    errors = pairs.errors(result)
                    plain = errors
                    if pairs.plain is not None:  # the noise that was added to the target is no part of the loss
                        errors = errors - (pairs.target - pairs.plain).square() / pairs.scale
                        plain = (result - pairs.plain).square() / pairs.scale
                    maps = (errors * pairs.weights, plain * pairs.weights, pairs.weights)
                    drawn += torch.stack([each.double().sum((0, 1)).cpu() for each in maps])
                height, width = drawn.shape[-2:]
                side = (
                    height if self._choice.lines == "Y" else min(_BLOCK, height),
                    width if self._choice.lines == "X" else min(_BLOCK, width),
                )
                blocks = F.avg_pool2d(drawn[None], side, divisor_override=1)[0].flatten(1)
                sums.append(blocks[:2])
                weights.append(blocks[2])
        return torch.cat(sums, 1), torch.cat(weights)

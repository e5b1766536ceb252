"""Judge weights on the crops that were set aside, beside those of the parent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

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
"""Factors of the estimated variance of the noise of pixels for which R2R has to have a lower loss: the standard
deviation is estimated within 19 % (`napari_restore.intensity.noise`). Weights that are better for one of them only fit
a wrong estimate: they smooth too much or too little."""
_OF_LINES = (0.8, 1.0, 1.25)
"""The same of the variance of offsets of lines: those of 256 lines give it within 9 %, and structure adds to that."""


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
        self._draws = 1 if choice.method == "supervised" else min(_DRAWS, max(1, round(_PIXELS / pixels)))
        self._parent, self._weights, self._levels = self._sums(parent)

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
            Losses of both, and the standard error of their difference, each crop in units of its own noise; in the same
            units for all crops, where bright ones count more, if the network has lost by that. For R2R, the loss of the
            adapted network is that for the variances of the noise, among those that the estimates allow, for which it
            has gained least.
        """
        sums, _, _ = self._sums(network)
        loss = self.of_parent.loss
        gain, error = self._least(sums, torch.ones_like(self._levels))
        equal = self._least(sums, self._levels)
        if equal[0] < min(gain, 0):
            gain, error = equal
        return Judgement(loss, loss * (1 - gain), loss * error)

    def _least(self, sums: Tensor, units: Tensor) -> tuple[float, float]:
        """Return the least gain that the estimates of the noise allow, relative to the parent, and its standard error.

        Parameters
        ----------
        sums : torch.Tensor
            Those of the network, see `_sums`.
        units : torch.Tensor
            ``(blocks,)``: unit of the errors of each block.
        """
        total, count = float(self._weights.sum()), int((self._weights > 0).sum())
        plain, of_pixels, of_lines = (self._parent - sums) * units
        loss = float((self._parent * units).sum())
        recorrupted = self._choice.method == "r2r"
        found = []
        for factor, of_line in product(
            _VARIANCES if recorrupted else (1.0,), _OF_LINES if recorrupted and self._choice.lines else (1.0,)
        ):
            difference = plain + factor * of_pixels + of_line * of_lines
            gained = float(difference.sum())
            scatter = float((difference - gained / total * self._weights).square().sum()) * count / max(count - 1, 1)
            found.append((gained / loss, math.sqrt(scatter) / loss))
        return min(found)

    def _sums(self, network: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Sum errors and weights over each block, in float64.

        Returns
        -------
        sums : torch.Tensor
            ``(3, blocks)``: parts of the errors that do not depend on estimated variances, that are proportional to
            that of the noise of pixels, and to that of lines.
        weights : torch.Tensor
            ``(blocks,)``.
        levels : torch.Tensor
            ``(blocks,)``: the mean variance of the noise of the block's crop, in which its errors are measured.
        """
        sums, weights, levels = [], [], []
        generator = Generator().manual_seed(self._seed)
        with torch.no_grad():
            for batch in self._batches:
                drawn = torch.zeros(4, *batch.pixels.shape[-2:], dtype=torch.float64)
                for _ in range(self._draws):
                    pairs = make_pairs(batch, self._choice, generator)
                    result = network(pairs.source)
                    if pairs.plain is None or pairs.lines is None:
                        parts = [pairs.errors(result)]
                    else:  # without the square of the noise that was added to the target, which is no part of the loss
                        error = result - pairs.plain
                        of_lines, added = pairs.lines, pairs.target - pairs.plain
                        parts = [error.square(), -2 * error * (added - of_lines), -2 * error * of_lines]
                        parts = [part / pairs.scale for part in parts]
                    for k, part in enumerate(parts):
                        drawn[k] += (part * pairs.weights).double().sum((0, 1)).cpu()
                    drawn[3] += pairs.weights.double().sum((0, 1)).cpu()
                height, width = drawn.shape[-2:]
                side = (
                    height if self._choice.lines == "Y" else min(_BLOCK, height),
                    width if self._choice.lines == "X" else min(_BLOCK, width),
                )
                blocks = F.avg_pool2d(drawn[None], side, divisor_override=1)[0].flatten(1)
                sums.append(blocks[:3])
                weights.append(blocks[3])
                levels.append(torch.full_like(blocks[3], float(pairs.scale.mean())))
        return torch.cat(sums, 1), torch.cat(weights), torch.cat(levels)

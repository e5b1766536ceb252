from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_restore.engine.compute.backends.backend import Backend
from napari_restore.engine.compute.backends.ensemble import ORIENTATIONS, Ensemble, turned, turned_back


class Corner(Backend):
    """A network that marks the upper left pixel, doubles the size, and reuses the memory of its result."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self._memory: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, tiles: Tensor) -> Tensor:
        self.shapes.append(tuple(tiles.shape[-2:]))
        marked = tiles.clone()
        marked[..., 0, 0] += 8
        result = marked.repeat_interleave(2, -1).repeat_interleave(2, -2)
        return self._memory.setdefault(tuple(result.shape), torch.empty_like(result)).copy_(result)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 3, 8, 16)])
def test_orientations_are_eight_different_ones_and_are_undone(shape: tuple[int, ...]) -> None:
    tiles = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    seen = [turned(tiles, orientation) for orientation in range(ORIENTATIONS)]
    assert len({(tuple(each.shape), tuple(each.flatten().tolist())) for each in seen}) == ORIENTATIONS
    assert torch.equal(seen[0], tiles)
    for orientation, each in enumerate(seen):
        assert each.is_contiguous() and torch.equal(turned_back(each, orientation), tiles)


def test_the_result_is_the_mean_over_the_orientations() -> None:
    network = Corner()
    result = Ensemble(network)(torch.zeros(1, 1, 8, 16))
    # Each of the four corners is upper left in two orientations: 2 of 8 times 8.
    expected = torch.zeros(16, 32)
    for y in (slice(2), slice(-2, None)):
        for x in (slice(2), slice(-2, None)):
            expected[y, x] = 2
    assert torch.equal(result[0, 0], expected)
    assert network.shapes.count((8, 16)) == network.shapes.count((16, 8)) == 4

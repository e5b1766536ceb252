from __future__ import annotations

import pytest
import torch

from napari_restore.networks.windows import window_layouts

SIZES = [(8, 8, 8), (8, 24, 8), (21, 14, 7), (32, 40, 8)]


@pytest.mark.parametrize(("height", "width", "window"), SIZES)
def test_from_one_order_to_the_other(height: int, width: int, window: int) -> None:
    layouts = window_layouts(height, width, window, torch.device("cpu"))
    image = torch.arange(height * width)
    plain, shifted = layouts.plain.pixels, layouts.shifted.pixels
    assert torch.equal(plain.sort().values, image) and torch.equal(shifted.sort().values, image)
    assert torch.equal(plain[layouts.plain_to_shifted], shifted) and torch.equal(
        shifted[layouts.shifted_to_plain], plain
    )
    assert torch.equal(plain[layouts.plain_to_image], image) and torch.equal(shifted[layouts.shifted_to_image], image)


@pytest.mark.parametrize(("height", "width", "window"), SIZES)
def test_what_is_masked_lies_at_opposite_borders(height: int, width: int, window: int) -> None:
    layouts = window_layouts(height, width, window, torch.device("cpu"))
    assert [group.mask for group in layouts.plain.groups] == [None]
    first = 0
    for count, mask in layouts.shifted.groups:
        windows = layouts.shifted.pixels[first * window**2 : (first + count) * window**2].reshape(count, window**2)
        y, x = windows // width, windows % width
        far = [(each[:, :, None] - each[:, None, :]).abs() >= window for each in (y, x)]
        masked = torch.zeros(window**2, window**2, dtype=torch.bool) if mask is None else mask < 0
        if height > window and width > window:  # else a window meets itself
            assert torch.equal((far[0] | far[1]), masked.expand(count, -1, -1))
        first += count
    assert first * window**2 == height * width

from __future__ import annotations

import pytest
import torch
from seeded_weights import fill, seeded_image
from torch import Tensor

from napari_restore.networks.channel_attention import Cells, TransposedAttention, cells_of
from napari_restore.networks.restormer import Restormer


def attention(cells: Cells | None, *, bias: bool = False) -> TransposedAttention:
    module = TransposedAttention(8, 2, bias=bias, cells=cells)
    fill(module, seed=1)
    return module.eval()


def network(window: int | None = 56, cell: int | None = 8) -> Restormer:
    made = Restormer(
        in_channels=1, out_channels=1, dim=8, blocks=(1, 2, 1, 1), heads=(1, 2, 2, 4), refinement_blocks=1,
        layer_norm="BiasFree", attention_window=window, attention_cell=cell,
    )  # fmt: skip
    fill(made, seed=1)
    return made.eval()


def infer(module: torch.nn.Module, image: Tensor) -> Tensor:
    with torch.inference_mode():
        return module(image)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (24, 56), (56, 56)])
def test_one_window_is_the_attention_of_all_pixels(size: tuple[int, int], bias: bool) -> None:
    features = seeded_image((2, 8, *size), seed=2)
    windowed, whole = (infer(attention(cells, bias=bias), features) for cells in (Cells(8, 7), None))
    torch.testing.assert_close(windowed, whole, rtol=1e-4, atol=1e-5)


def test_a_cell_has_the_sums_of_the_window_around_it() -> None:
    qkv, module = seeded_image((1, 24, 72, 72), seed=3), attention(None)
    windowed = module._over_windows(qkv, 8, 3)[..., 24:32, 40:48]
    alone = module._over_all_pixels(qkv[..., 16:40, 32:56])[..., 8:16, 8:16]
    torch.testing.assert_close(windowed, alone, rtol=1e-4, atol=1e-5)


def test_windows_at_the_edge_are_whole() -> None:
    features, module = seeded_image((1, 8, 8, 64), seed=4), attention(Cells(8, 3))
    first = infer(module, features)[..., :8]
    changed = features.clone()
    changed[..., 18:24] += 1  # in the third cell, away from the convolution of the first
    assert (infer(module, changed)[..., :8] - first).abs().max() > 1e-4
    changed = features.clone()
    changed[..., 32:] += 1
    torch.testing.assert_close(infer(module, changed)[..., :8], first, rtol=0, atol=0)


def test_what_is_far_away_has_no_say() -> None:
    image = seeded_image((1, 1, 16, 2048), seed=5)
    changed = image.clone()
    changed[..., -16:] += 1
    for window, equal in ((56, True), (None, False)):
        module = network(window, 8 if window else None)
        off = (infer(module, changed) - infer(module, image))[..., :8].abs().max()
        assert (off == 0) == equal


def test_weights_are_those_of_the_network_without_windows() -> None:
    with_windows, without = network().state_dict(), network(None, None).state_dict()
    assert {key: value.shape for key, value in with_windows.items()} == {k: v.shape for k, v in without.items()}


def test_windows_export() -> None:
    image = seeded_image((1, 1, 64, 72), seed=6)
    with torch.no_grad():
        program = torch.export.export(network(), (image,))
        torch.testing.assert_close(program.module()(image), network()(image))


@pytest.mark.parametrize(
    ("window", "cell", "text"),
    [(112, None, "belong together"), (None, 8, "belong together"), (84, 12, "multiple of 8"), (112, 40, "odd"),
     (32, 8, "odd"), (0, 0, "multiple of 8")],
)  # fmt: skip
def test_windows_that_cannot_be(window: int | None, cell: int | None, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        cells_of(window, cell)

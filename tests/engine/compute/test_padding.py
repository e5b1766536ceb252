from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_restore import api
from napari_restore.engine.compute.padding import authors_padded
from napari_restore.errors import RecipeError
from napari_restore.models.zoo import find_card, load_weights

SIZES = [(24, 17), (30, 24), (75, 110), (9, 9)]


def by_the_scripts(image: torch.Tensor, architecture: str, step: int) -> torch.Tensor:
    """The rules as the issue states them."""
    height, width = image.shape[-2:]
    if architecture == "restormer":
        return F.pad(image, (0, -width % step, 0, -height % step), mode="reflect")
    new_height, new_width = (height // step + 1) * step, (width // step + 1) * step
    image = torch.cat([image, image.flip(2)], 2)[:, :, :new_height]
    return torch.cat([image, image.flip(3)], 3)[:, :, :, :new_width]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("model", ["local", "denoiser"])
def test_padding_is_that_of_the_scripts(checkpoints: dict[str, Path], model: str, size: tuple[int, int]) -> None:
    card = find_card(checkpoints[model])
    image = np.random.default_rng(0).random((1, *size))
    expected = by_the_scripts(torch.from_numpy(image)[None], card.architecture, card.alignment)[0].numpy()
    np.testing.assert_array_equal(authors_padded(image, card), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("model", ["local", "upscaler", "denoiser", "colour_denoiser"])
def test_a_plane_is_restored_whole(checkpoints: dict[str, Path], model: str, size: tuple[int, int]) -> None:
    card = find_card(checkpoints[model])
    shape, axes = (size, "YX") if card.in_channels == 1 else ((*size, 3), "YXS")
    image = np.random.default_rng(1).random(shape).astype(np.float32)
    settings = {"axes": axes, "model": checkpoints[model], "value_range": (0, 1)}
    result = api.restore(image, **settings, padding="authors")
    tensor = torch.from_numpy(image[None, None] if axes == "YX" else image.transpose(2, 0, 1)[None])
    with torch.inference_mode():
        expected = load_weights(card)(by_the_scripts(tensor, card.architecture, card.alignment))[0]
    expected = expected[:, : size[0] * card.scale, : size[1] * card.scale].numpy()
    np.testing.assert_allclose(result, expected[0] if axes == "YX" else expected.transpose(1, 2, 0), atol=1e-5)
    assert "padded as the authors do" in str(api.plan(image, **settings, padding="authors"))


def test_the_rules_differ(checkpoints: dict[str, Path]) -> None:
    image = np.random.default_rng(2).random((30, 41)).astype(np.float32)
    settings = {"model": checkpoints["local"], "value_range": (0, 1)}
    assert abs(api.restore(image, **settings, padding="authors") - api.restore(image, **settings)).max() > 1e-4


def test_it_is_for_whole_planes(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    with pytest.raises(RecipeError, match=r"80 x 112 here.*leave these out"):
        api.plan(stack, axes="ZYX", model=checkpoints["local"], padding="authors", tile=64)
    with pytest.raises(RecipeError, match="padding"):
        api.plan(stack, axes="ZYX", model=checkpoints["local"], padding="zeros")


def test_a_stored_result_goes_on(checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path) -> None:
    settings = {"axes": "ZYX", "model": checkpoints["local"], "padding": "authors"}
    expected = api.restore(stack, **settings)
    for _ in range(2):
        api.restore(stack, output=tmp_path / "o.zarr", **settings)
    stored = api.open_image(tmp_path / "o.zarr")
    np.testing.assert_array_equal(stored.read(tuple(slice(None) for _ in stored.shape)), expected)

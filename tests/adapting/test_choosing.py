from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Picture

from napari_restore.adapting.choosing import blocks_of_jpeg, choose_method, correlation_reach, share_noise, too_clean
from napari_restore.adapting.crops import SourceCrop
from napari_restore.errors import RecipeError


def crops_of(plane: np.ndarray, side: int = 64) -> list[SourceCrop]:
    pixels, there, ones = plane.astype(np.float32), np.ones((1, side, side), bool), np.ones((1, side, side), np.float32)
    return [
        SourceCrop(pixels[None, y : y + side, x : x + side], there, ones, (y, x), 1.0)
        for y in range(0, plane.shape[0], side)
        for x in range(0, plane.shape[1], side)
    ]


@pytest.mark.parametrize(
    ("correlation", "reach", "agreeing", "method"),
    [
        ((0.02, 0.05), (0, 0), "", "r2r"),
        ((0.02, 0.05), (0, 0), "T", "noise2noise"),
        ((0.02, 0.05), (0, 0), "Z", "r2r"),
        ((0.6, 0.6), (3, 3), "", "noise2void"),
        ((0.0, 0.3), (0, 8), "", "r2r"),
    ],
)
def test_the_noise_decides(
    correlation: tuple[float, float], reach: tuple[int, int], agreeing: str, method: str
) -> None:
    chosen = choose_method("auto", correlation, reach, agreeing, "T" if agreeing else "")
    assert chosen.method == method and chosen.why
    assert choose_method("noise2void", correlation, reach, agreeing, "").method == "noise2void"


def test_masks_follow_the_correlation() -> None:
    assert choose_method("auto", (0.6, 0.02), (3, 3), "", "").reach == (3, 0)
    assert choose_method("auto", (0.02, 0.3), (0, 8), "", "").lines == "X"
    assert choose_method("auto", (0.3, 0.3), (8, 8), "", "").lines == ""
    assert choose_method("noise2void", (0.0, 0.3), (0, 8), "", "").lines == "X"
    assert choose_method("noise2void", (0.0, 0.0), (0, 0), "", "").reach == (0, 0)


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(RecipeError, match="'n2x' is not known; use 'r2r'"):
        choose_method("n2x", (0, 0), (0, 0), "", "")
    with pytest.raises(RecipeError, match="there is one plane"):
        choose_method("noise2noise", (0, 0), (0, 0), "", "")


def test_reach_of_the_noise() -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(size=(256, 256))
    assert correlation_reach(crops_of(white)) == (0, 0)
    assert correlation_reach(crops_of(white + rng.normal(size=(256, 1)))) == (0, 8)
    assert correlation_reach(crops_of(white + rng.normal(size=(1, 256)))) == (8, 0)
    pairs = white[:, :-1] + white[:, 1:]
    assert correlation_reach(crops_of(np.pad(pairs, ((0, 0), (0, 1)), mode="edge"))) == (0, 1)


def test_planes_that_share_their_noise_are_found() -> None:
    rng = np.random.default_rng(0)
    first, second, ones = (rng.normal(size=(1, 64, 64)).astype(np.float32) for _ in range(3))
    ones[:] = 1

    def shared(partner: np.ndarray) -> bool:
        return share_noise([SourceCrop(first, ones > 0, ones, (0, 0), 1.0, partner)])

    assert shared(first) and shared(0.9 * first + 0.4 * second)
    assert not shared(second) and not shared(second + 3)
    assert not share_noise([])


def test_blocks_of_jpeg_are_found() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    noisy = np.clip(120 + 60 * np.sin(x / 9) * np.cos(y / 7) + rng.normal(0, 12, (256, 256)), 0, 255).astype(np.uint8)
    assert not blocks_of_jpeg(crops_of(noisy))
    stored = io.BytesIO()
    Picture.fromarray(noisy).save(stored, "JPEG", quality=60)
    assert blocks_of_jpeg(crops_of(np.asarray(Picture.open(stored))))


def test_images_with_hardly_any_noise_are_too_clean() -> None:
    assert "hardly any noise (0.1 % of its value range)" in too_clean(0.001)
    assert too_clean(0.02) == ""


def test_the_seams_of_a_mosaic_are_no_blocks_of_jpeg() -> None:
    rng = np.random.default_rng(0)
    brightness = np.kron([[1.0, 2.5, 1.2], [2.2, 0.8, 2.0], [1.1, 2.4, 0.9]], np.ones((104, 104)))[:256, :256]
    assert not blocks_of_jpeg(crops_of(100 * brightness + rng.normal(0, 5, brightness.shape)))

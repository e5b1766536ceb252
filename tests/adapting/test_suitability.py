"""Which sources can teach a network: alone, and with clean images of the same fields as targets."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from scipy import ndimage
from source_crops import crops_of
from typer.testing import CliRunner

from napari_restore import api
from napari_restore.adapting import adapt
from napari_restore.adapting.crops import SourceCrop
from napari_restore.adapting.suitability import blocks_of_jpeg, share_noise, too_clean
from napari_restore.cli import app
from napari_restore.errors import OutputError, RecipeError

TINY = Path(__file__).parents[1] / "weights/restormer-sigma25-tiny.safetensors"
TRUTH = (300 + 150 * np.sin(np.arange(192) / 9) * np.cos(np.arange(192) / 7)[:, None]).astype(np.float32)
SETTINGS: dict[str, Any] = {
    "model": TINY, "axes": "YX", "value_range": (0, 800), "neighbours": "none", "steps": 12,
}  # fmt: skip


def correlated(truth: np.ndarray = TRUTH, seed: int = 0) -> np.ndarray:
    """An image whose noise is correlated, from which alone nothing is learned."""
    noise = np.random.default_rng(seed).normal(0, 60, truth.shape)
    return (truth + ndimage.gaussian_filter(noise, (*(0,) * (truth.ndim - 2), 0.7, 0.7))).astype(np.float32)


def error(image: Any) -> float:
    return float(np.square(np.asarray(image, np.float64) - TRUTH).mean())


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "LEARNING_RATE", {"scales": 1e-2, "norms": 1e-2})
        patch.setattr(adapt, "CROP", 32)
        yield


def test_noise_that_one_image_does_not_teach_is_learned_from_a_clean_one(tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    assert api.adapt(correlated(), out, **SETTINGS).outcome == "declined"
    found = api.adapt(correlated(), out, clean=TRUTH, **SETTINGS)
    assert (found.outcome, found.method) == ("adapted", "supervised")
    other = correlated(seed=1)  # noise that was not seen
    restored = {
        model: api.denoise(other, model=model, axes="YX", value_range=(0, 800), dtype="float32")
        for model in (TINY, found.model)
    }
    assert error(restored[found.model]) < 0.9 * error(restored[TINY])
    training = api.model_card(found.model).training
    assert training["why"] == "clean images are given"
    assert training["clean_crops"] and training["clean_crops"] != training["source_crops"]


@pytest.mark.parametrize(
    ("clean", "reason"),
    [
        (TRUTH / 2, "differ from them by"),
        (TRUTH + 60, "other units, or show another place"),
        (TRUTH[::-1, ::-1].copy(), "other units, or show another place"),
        (np.full_like(TRUTH, np.nan), "fewer than four crops"),
    ],
    ids=["gain", "offset", "turned", "NaN"],
)
def test_images_that_do_not_fit_are_declined(clean: np.ndarray, reason: str, tmp_path: Path) -> None:
    found = api.adapt(correlated(), tmp_path / "mine.safetensors", clean=clean, **SETTINGS)
    assert found.outcome == "declined" and reason in found.reason and list(tmp_path.iterdir()) == []


def test_what_does_not_fit_together_is_refused_before_any_work(tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    with pytest.raises(RecipeError, match=r"clean images are Y 100 x X 192, and the noisy ones Y 192 x X 192"):
        api.adapt(correlated(), out, clean=TRUTH[:100], **SETTINGS)
    with pytest.raises(RecipeError, match=r"'supervised' needs clean images of the same fields; give them as clean="):
        api.adapt(correlated(), out, method="supervised", **SETTINGS)
    with pytest.raises(RecipeError, match=r"'r2r' does not use clean images; leave clean= out, or use 'auto'"):
        api.adapt(correlated(), out, method="r2r", clean=TRUTH, **SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_one_goes_on_with_the_same_clean_images_only(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.safetensors", tmp_path / "mine.safetensors"
    api.adapt(correlated(), whole, clean=TRUTH, **SETTINGS)

    def stop(event: Any) -> None:
        if event.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.adapt(correlated(), out, clean=TRUTH, progress=stop, **SETTINGS)
    with pytest.raises(OutputError, match="another clean"):
        api.adapt(correlated(), out, clean=TRUTH + 1, **SETTINGS)
    api.adapt(correlated(), out, clean=TRUTH, **SETTINGS)
    assert out.read_bytes()[-1000:] == whole.read_bytes()[-1000:]  # of the weights


def test_stacks_with_channels_by_the_command_line(tmp_path: Path) -> None:
    truth = np.stack([TRUTH, TRUTH[::-1]])[:, None].repeat(2, 1)  # CZYX
    tifffile.imwrite(tmp_path / "clean.tif", truth)
    tifffile.imwrite(tmp_path / "noisy.tif", correlated(truth))
    out = tmp_path / "mine.safetensors"
    paths = [str(tmp_path / "noisy.tif"), "--output", str(out), "--clean", str(tmp_path / "clean.tif")]
    options = ["--axes", "CZYX", "--range", "0", "800", "--steps", "12", "--model", str(TINY)]
    done = CliRunner().invoke(app, ["adapt", *paths, *options])
    assert done.exit_code == 0 and "Adapting has helped" in done.stdout and out.exists(), done.output


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

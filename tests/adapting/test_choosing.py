from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from source_crops import crops_of

from napari_restore.adapting import choosing
from napari_restore.adapting.choosing import choose_method, correlation_reach, doubt_skewed, noise_skewness
from napari_restore.errors import RecipeError


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


@pytest.mark.parametrize(
    ("asked", "correlation", "planes", "skewness", "doubt"),
    [
        ("auto", (0.0, 0.0), "", 0.51, r"skewed \(0\.51\), as that of few photons is, and r2r takes it for Gaussian"),
        ("r2r", (0.0, 0.0), "", 2.1, r"skewed \(2\.1\)"),
        ("r2r", (0.0, 0.3), "", 0.8, r"skewed \(0\.8\)"),
        ("auto", (0.6, 0.6), "", 0.0, "correlated .*hidden pixels does not tell"),
        ("noise2void", (0.0, 0.0), "", 0.0, "^the loss of hidden pixels does not tell"),
        ("auto", (0.0, 0.0), "", -0.9, r"skewed \(-0\.9\)"),
        ("r2r", (0.6, 0.6), "", 2.1, "skewed .*correlated .*takes it for independent"),
        ("r2r", (0.6, 0.6), "", 0.0, "correlated .*r2r takes it for independent"),
        ("noise2noise", (0.0, 0.0), "Z", 0.0, "along Z do not agree"),
        ("auto", (0.0, 0.0), "", 0.34, "^$"),
        ("auto", (0.0, 0.3), "", 0.0, "^$"),
    ],
)
def test_a_loss_that_does_not_tell_is_doubted(
    asked: str,
    correlation: tuple[float, float],
    planes: str,
    skewness: float,
    doubt: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = choose_method(asked, correlation, (0, 8) if correlation[0] == 0 else (3, 3), "", planes)
    monkeypatch.setattr(choosing, "noise_skewness", lambda crops, lines: skewness)
    chosen = doubt_skewed(chosen, [])
    assert re.search(doubt, chosen.doubt)
    assert chosen.why == "asked for" or not chosen.doubt or asked == "auto"


def test_frames_that_agree_teach_with_few_photons_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "noise_skewness", lambda crops, lines: 2.0)
    assert doubt_skewed(choose_method("auto", (0, 0), (0, 0), "T", "T"), []).doubt == ""


def scene(photons: float, side: int = 256) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return photons * (1 + 0.5 * np.sin(x / 11) * np.cos(y / 9))


@pytest.mark.parametrize("photons", [0.2, 1.0, 4.0, 20.0, 400.0])
def test_skewness_is_that_of_the_photons(photons: float) -> None:
    noisy = 7.0 * np.random.default_rng(0).poisson(scene(photons))
    assert noise_skewness(crops_of(noisy)) == pytest.approx(photons**-0.5, rel=0.35, abs=0.2)


def test_skewness_with_lines_values_cut_off_and_missing_pixels() -> None:
    rng = np.random.default_rng(0)
    gaussian = rng.normal(size=(256, 256))
    assert abs(noise_skewness(crops_of(gaussian))) < 0.1
    assert noise_skewness(crops_of(np.maximum(gaussian, -0.5))) > 0.6  # a black level that cuts values off
    lines = rng.gamma(0.5, 20, (256, 1))
    assert abs(noise_skewness(crops_of(gaussian + lines), "X")) < 0.1
    assert abs(noise_skewness(crops_of((gaussian + lines).T), "Y")) < 0.1
    few = rng.poisson(1.0, (256, 256)).astype(float)
    few[:, 100:140] = 1.0
    there = np.zeros((256, 256), bool)
    there[:, :100], there[:, 140:] = True, True
    masked = [
        replace(crop, there=there[None, crop.origin[0] :, crop.origin[1] :][:, :64, :64]) for crop in crops_of(few)
    ]
    assert noise_skewness(masked) == pytest.approx(1.0, rel=0.3)
    assert correlation_reach(masked) == (0, 0)
    nothing = [replace(crop, there=np.zeros_like(crop.there)) for crop in crops_of(few)]
    assert noise_skewness(nothing) == 0.0 and correlation_reach(nothing) == (0, 0)


def test_skewness_of_dark_images_and_of_empty_grounds() -> None:
    rng = np.random.default_rng(0)
    dark = 4000 - rng.poisson(scene(1.0))
    assert noise_skewness(crops_of(dark)) == pytest.approx(-1.0, rel=0.35)
    two = [replace(crop, pixels=np.concatenate([crop.pixels, other.pixels]), there=np.repeat(crop.there, 2, axis=0))
           for crop, other in zip(crops_of(rng.normal(size=(256, 256))), crops_of(dark), strict=True)]  # fmt: skip
    assert noise_skewness(two) < -0.6
    lit = ndimage.gaussian_filter(rng.normal(size=(512, 512)), 25) > 0
    photons = rng.poisson(6 * ndimage.gaussian_filter(lit.astype(float), 3) ** 2 + 0.003)
    amplified = np.where(photons > 0, rng.gamma(np.maximum(photons, 1), 20.0), 0).astype(np.uint16)
    assert noise_skewness(crops_of(amplified)) > 0.5

from __future__ import annotations

import numpy as np
import pytest

from napari_restore.assessment.calibration import calibrate, in_units_of, standardise
from napari_restore.assessment.pairing import pair_images
from napari_restore.errors import SourceError
from napari_restore.images.image import Image
from napari_restore.intensity.stabilise import CameraNoise

TRUTH = 40 + 30 * np.sin(np.arange(192) / 11)[:, None] * np.cos(np.arange(160) / 7)


def image(values: np.ndarray) -> Image:
    return Image(np.asarray(values), "YX")


def noisy(seed: int = 0, photons: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(TRUTH * photons).astype(np.float64)


@pytest.mark.parametrize("photons", [0.1, 1.0, 20.0])
def test_noise_is_standardised_whatever_its_level(photons: float) -> None:
    counts = noisy(photons=photons)
    null = calibrate(pair_images(image(counts), image(TRUTH * photons)), 0, CameraNoise(1.0, 0.0, 0.0))
    plane = standardise(counts, TRUTH * photons, null)
    assert float(plane.residual.mean()) == pytest.approx(0, abs=0.03)
    assert float(plane.residual.std()) == pytest.approx(1, abs=0.1)
    assert null.notes == ()


def test_missing_pixels_are_not_valid() -> None:
    counts = noisy()
    null = calibrate(pair_images(image(counts), image(TRUTH)), 0)
    counts[:30, :40] = np.nan
    plane = standardise(counts, TRUTH, null)
    assert not plane.valid[:30, :40].any() and plane.valid[30:].all()
    assert np.isfinite(plane.residual).all() and np.isfinite(plane.contrast).all()


def test_other_units_are_matched_and_lost_contrast_is_not() -> None:
    paired = in_units_of(pair_images(image(noisy()), image(TRUTH / 255 - 3)))
    assert len(paired.notes) == 1 and paired.slope == pytest.approx(1 / 255, rel=0.05)
    blurred = TRUTH.mean() + 0.6 * (TRUTH - TRUTH.mean())
    assert in_units_of(pair_images(image(noisy()), image(blurred))).slope == 1


@pytest.mark.parametrize(
    ("source", "result", "message"),
    [
        (np.full((64, 64), 7.0), TRUTH[:64, :64], "the source is constant"),
        (np.full((64, 64), np.nan), TRUTH[:64, :64], "the source is constant"),
        (noisy()[:64, :64], np.full((64, 64), 7.0), "the result is constant"),
        (10 * noisy()[:128, :128], 10 * TRUTH[:128, :128][::-1, ::-1].T, "does not show"),
    ],
)
def test_what_cannot_be_compared_is_refused(source: np.ndarray, result: np.ndarray, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        in_units_of(pair_images(image(source), image(result)))


def test_a_result_that_is_its_source_is_refused() -> None:
    with pytest.raises(SourceError, match="nothing was removed"):
        calibrate(pair_images(image(noisy()), image(noisy())), 0, CameraNoise(1.0, 0.0, 1.0))


def test_jpeg_blocks_are_said() -> None:
    counts = noisy()
    blocks = np.kron(np.random.default_rng(1).normal(0, 12, (24, 20)), np.ones((8, 8)))
    null = calibrate(pair_images(image(counts + blocks), image(TRUTH)), 0, CameraNoise(1.0, 0.0, 0.0))
    assert any("JPEG" in note for note in null.notes)

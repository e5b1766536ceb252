from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_restore.training.clean import PHOTOGRAPHS, clean_pool, folder_images, scikit_image_images


def test_images_of_scikit_image_are_planes_in_the_unit_range() -> None:
    names = []
    for name, image in scikit_image_images():
        names.append(name)
        assert image.shape[0] == 1 and image.dtype == np.float32 and min(image.shape[1:]) >= 96
        assert image.min() == 0.0 and image.max() == 1.0
    assert len(set(names)) == 16
    assert {name for name in names if names.count(name) == 2} == set(PHOTOGRAPHS)  # binned and unbinned


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "stack.tif", rng.integers(0, 4000, (9, 200, 210), np.uint16))
    tifffile.imwrite(tmp_path / "colour.tif", rng.integers(0, 255, (220, 200, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "small.tif", rng.integers(0, 255, (50, 50), np.uint8))
    tifffile.imwrite(tmp_path / "secret_1.tif", rng.integers(0, 255, (300, 300), np.uint8))
    return tmp_path


def test_a_folder_gives_planes_binned_by_two_without_what_is_held_out(folder: Path) -> None:
    found = [(name, image.shape) for name, image in folder_images(folder, held_out=("secret_",))]
    assert found == [("colour.tif", (1, 110, 100))] * 3 + [("stack.tif", (1, 100, 105))] * 4


def test_colour_images_for_rgb_networks(folder: Path) -> None:
    images, probability = clean_pool(np.random.default_rng(0), channels=3, synthetic=7, folder=folder)
    assert len(images) == len(probability) == 7 + 11 + 1  # synthetic, scikit-image's in colour, the folder's
    assert all(image.shape[0] == 3 and image.dtype == np.float32 for image in images)
    assert all(np.abs(image[0] - image[1]).mean() > 1e-3 for image in images)


def test_images_smaller_than_a_crop_are_left_out(folder: Path) -> None:
    images, probability = clean_pool(np.random.default_rng(0), synthetic=7, folder=folder, smallest=128)
    assert all(min(image.shape[1:]) >= 128 for image in images) and len(images) == len(probability) < 7 + 21 + 9
    assert probability.sum() == pytest.approx(1)


def test_each_source_has_its_share_of_the_draws(folder: Path) -> None:
    images, probability = clean_pool(np.random.default_rng(0), synthetic=7, folder=folder, held_out=("secret_",))
    assert len(images) == len(probability) == 7 + 21 + 7
    assert [round(float(part.sum()), 6) for part in np.split(probability, [7, 28])] == [0.5, 0.3, 0.2]

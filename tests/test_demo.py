from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage.io import imread

from napari_restore.demo import run_demo
from napari_restore.images.writing import ome_zarr


def test_the_bundled_model_gains_3_db_on_the_bundled_image(tmp_path: Path) -> None:
    result = run_demo(tmp_path)
    assert list(result.scores) == ["nuclei", "actin", "mitochondria", "mean"]
    for noisy, restored, ssim_noisy, ssim_restored in result.scores.values():
        assert restored >= noisy + 3 and ssim_restored > ssim_noisy
    assert ome_zarr.open_level(result.zarr, 0).shape == (3, 340, 550)
    picture = imread(result.picture)
    height, width = picture.shape[0] // 2, picture.shape[1] // 3
    background = [np.median(picture[height - 60 : height - 5, k * width + 10 : k * width + 100]) for k in (1, 2)]
    assert max(background) < 40  # restored and clean: a dark field, not wrapped-around colours

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.assessment.pairing import labels_fit, pair_images
from napari_restore.errors import SourceError
from napari_restore.images.image import Image

WHOLE = {axis: slice(0, 1) for axis in "TCZ"} | {"Y": slice(0, 40), "X": slice(0, 48)}


def image(*shape: int, axes: str, **keywords: object) -> Image:
    return Image(np.random.default_rng(0).random(shape), axes, **keywords)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(40, 47), (39, 48), (80, 48), (20, 24)])
def test_shapes_that_do_not_belong_together_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match="do not belong together"):
        pair_images(image(40, 48, axes="YX"), image(*shape, axes="YX"))


def test_axes_of_length_1_may_be_missing_and_any_order_is_read() -> None:
    source = image(3, 1, 40, 48, axes="ZCYX")
    result = Image(np.asarray(source.data)[:, 0].transpose(2, 1, 0), "XYZ")
    paired = pair_images(source, result)
    region = WHOLE | {"Z": slice(1, 3)}
    assert paired.stack == "Z" and np.array_equal(paired.noisy(region), paired.restored(region))


def test_a_result_of_more_pixels_is_averaged_and_blurred() -> None:
    fine = image(80, 96, axes="YX")
    paired = pair_images(image(40, 48, axes="YX"), fine)
    means = np.asarray(fine.data).reshape(40, 2, 48, 2).mean((1, 3))
    assert paired.scale == 2 and np.allclose(paired.restored(WHOLE)[0], means)
    blurred = pair_images(image(40, 48, axes="YX"), fine, 1.5)
    inner = WHOLE | {"Y": slice(16, 32), "X": slice(16, 40)}
    expected = ndimage.gaussian_filter(np.asarray(fine.data), 1.5, mode="nearest", truncate=4).reshape(40, 2, 48, 2)
    assert np.allclose(blurred.restored(inner)[0], expected.mean((1, 3))[16:32, 16:40])


@pytest.mark.parametrize("psf", [np.ones((4, 4)), np.zeros((3, 3)), -1.0, np.nan, np.ones(3)])
def test_what_is_no_point_spread_function_is_refused(psf: object) -> None:
    with pytest.raises(SourceError, match="point spread function"):
        pair_images(image(40, 48, axes="YX"), image(40, 48, axes="YX"), psf)


def test_a_pixel_size_that_does_not_fit_is_said() -> None:
    known = {"pixel_size": {"Y": 0.2, "X": 0.2}, "units": {"Y": "micrometer", "X": "micrometer"}}
    source, fine = image(40, 48, axes="YX", **known), image(80, 96, axes="YX", **known)
    assert len(pair_images(source, fine).notes) == 2
    assert pair_images(source, source).notes == () == pair_images(source, image(80, 96, axes="YX")).notes


def test_small_planes_and_channels_with_samples_are_refused() -> None:
    with pytest.raises(SourceError, match="too small"):
        pair_images(image(20, 48, axes="YX"), image(20, 48, axes="YX"))
    with pytest.raises(SourceError, match="colour samples"):
        pair_images(image(2, 40, 48, 3, axes="CYXS"), image(2, 40, 48, 3, axes="CYXS"))


def test_labels_have_the_planes_of_the_source_or_one() -> None:
    sizes = {"T": 1, "C": 1, "Z": 3, "Y": 40, "X": 48}
    assert "Z" not in labels_fit(Image(np.ones((40, 48), np.uint8), "YX"), sizes)
    assert "Z" in labels_fit(Image(np.ones((3, 40, 48), np.int32), "ZYX"), sizes)
    for wrong in (np.ones((40, 47), np.uint8), np.ones((40, 48))):
        with pytest.raises(SourceError, match="regions"):
            labels_fit(Image(wrong, "YX"), sizes)

import dask.array as da
import numpy as np
import pytest

from napari_restore.errors import SourceError
from napari_restore.images.opening import open_image


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def test_levels_in_a_list():
    levels = [np.zeros((2, 8, 8)), da.ones((2, 4, 4)), np.zeros((2, 2, 2))]
    image = open_image(levels, axes="CYX", level=1)
    assert image.shape == (2, 4, 4) and whole(image).all()
    with pytest.raises(SourceError, match="level 3 is not in the list: it has 3"):
        open_image(levels, axes="CYX", level=3)


@pytest.mark.parametrize(
    "shapes",
    [
        [(8, 8), (8, 8)],
        [(8, 8), (10, 3)],
        [(4, 4), (8, 8)],
        [(8, 8), (4, 4), (4, 4)],
        [(8, 8), (4,)],
        [(8, 8), (1, 8, 8)],
    ],
)
def test_images_that_are_no_pyramid_are_refused_and_none_is_dropped(shapes):
    with pytest.raises(SourceError, match=r"no levels of a pyramid .* one by one"):
        open_image([np.zeros(shape) for shape in shapes])

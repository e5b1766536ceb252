import pickle

import dask.array as da
import numpy as np
import pytest

from napari_restore.errors import AxesError, SourceError
from napari_restore.images.lazy_arrays import MappedArray
from napari_restore.images.opening import open_image


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def test_a_plane_needs_no_axes():
    pixels = np.arange(12).reshape(3, 4)
    image = open_image(pixels)
    assert image.axes == "YX" and image.location is None and image.chunks == (3, 4)
    np.testing.assert_array_equal(whole(image), pixels)


def test_more_dimensions_need_axes():
    with pytest.raises(AxesError, match=r"pass axes="):
        open_image(np.zeros((3, 4, 5)))
    assert open_image(np.zeros((3, 4, 5)), axes="yxs").sizes == {"Y": 3, "X": 4, "S": 5}


@pytest.mark.parametrize("shape", [(), (5,)])
def test_too_few_dimensions(shape):
    with pytest.raises(AxesError):
        open_image(np.zeros(shape))
    with pytest.raises(AxesError):
        open_image(np.zeros(shape), axes="YX"[: len(shape)])


@pytest.mark.parametrize("choice", [{"level": 1}, {"series": 1}])
def test_level_or_series_of_an_array(choice):
    with pytest.raises(SourceError, match=r"(series|level) 1 is not in the array"):
        open_image(np.zeros((2, 2)), **choice)


def test_dask_reads_only_the_chunks_of_the_region():
    seen = []

    def block(block_info=None):
        seen.append(block_info[None]["chunk-location"])
        return np.full((1, 16, 16), len(seen))

    lazy = da.map_blocks(block, chunks=((1,) * 4, (16,) * 3, (16, 16, 8)), dtype=int, meta=np.empty((0, 0, 0), int))
    lazy = lazy[:, :, :40]
    seen.clear()
    image = open_image(lazy, axes="ZYX")
    assert image.chunks == (1, 16, 16) and not seen
    image.read((slice(1, 2), slice(0, 5), slice(20, 30)))
    assert seen == [(1, 0, 1)]


def test_dask_of_unknown_length_is_refused():
    lazy = da.ones((4, 4), chunks=2)
    with pytest.raises(SourceError, match="compute_chunk_sizes"):
        open_image(lazy[lazy[:, 0] > 0])


def test_memmap_pickles_by_location(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100_000.0).reshape(100, 1000))
    image = open_image(np.load(tmp_path / "a.npy", mmap_mode="r"))
    assert isinstance(image.data, MappedArray) and image.location == str(tmp_path / "a.npy")
    parcel = pickle.dumps(image)
    assert len(parcel) < 2000
    np.testing.assert_array_equal(whole(pickle.loads(parcel)), np.load(tmp_path / "a.npy"))


def test_memmap_that_is_changed_in_memory_only_pickles_by_value(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    changed = np.load(tmp_path / "a.npy", mmap_mode="c")
    changed[0, 0] = 7
    assert whole(pickle.loads(pickle.dumps(open_image(changed))))[0, 0] == 7

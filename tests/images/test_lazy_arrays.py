import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.lazy_arrays import MappedArray, RawArray

SHAPE = (3, 7, 11, 2)
PIXELS = np.arange(np.prod(SHAPE), dtype=">i4").reshape(SHAPE)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "pixels.raw"
    path.write_bytes(b"header!" + PIXELS.tobytes())
    return RawArray(str(path), PIXELS.dtype, SHAPE, 7, 1)


def slices(length):
    ends = st.tuples(st.integers(0, length), st.integers(0, length))
    return ends.map(lambda pair: slice(min(pair), max(pair)))


@settings(deadline=None)
@given(region=st.tuples(*map(slices, SHAPE)))
def test_any_region_of_a_raw_array(raw, region):
    np.testing.assert_array_equal(raw[region], PIXELS[region])


@pytest.mark.parametrize("columns", [slice(0, 2), slice(0, 11)])
def test_raw_array_that_ends_too_early(raw, tmp_path, columns):
    short = RawArray(str(tmp_path / "short.raw"), raw.dtype, raw.shape, 7, 1)
    (tmp_path / "short.raw").write_bytes(b"header!" + PIXELS.tobytes()[:-100])
    short[(slice(0, 2), slice(0, 7), columns, slice(0, 2))]
    with pytest.raises(ChunkError, match=r"short\.raw: .*truncated"):
        short[(slice(2, 3), slice(0, 7), columns, slice(0, 2))]


def views(array):
    return [array, array[1:, 2:5], array[:, ::-1], array.T, array[..., 0]]


@pytest.mark.parametrize("offset", [0, 12])
def test_memmap_and_its_views_pickle_by_location(tmp_path, offset):
    path = tmp_path / "pixels.raw"
    path.write_bytes(b"x" * offset + PIXELS.tobytes())
    mapped = np.memmap(path, dtype=PIXELS.dtype, mode="r", offset=offset, shape=SHAPE)
    for view, expected in zip(views(mapped), views(PIXELS), strict=True):
        array = MappedArray(view)
        parcel = pickle.dumps(array)
        assert len(parcel) < 600
        again = pickle.loads(parcel)
        everything = (slice(None),) * expected.ndim
        np.testing.assert_array_equal(array[everything], expected)
        np.testing.assert_array_equal(again[everything], expected)
        assert again.path == os.fspath(path)


def test_memmap_without_a_name_is_refused(tmp_path):
    with open(tmp_path / "a", "w+b", buffering=0) as file:
        file.write(bytes(8))
        mapped = np.memmap(file, dtype="u1", mode="r")
    mapped.filename = None
    with pytest.raises(SourceError, match=r"numpy\.asarray"):
        MappedArray(mapped)

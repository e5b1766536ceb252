import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.lazy_arrays import MappedArray, RawArray, StridedArray

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


@given(st.permutations(range(4)), st.tuples(*map(slices, SHAPE)), st.integers(0, 3))
@settings(deadline=None)
def test_any_region_of_axes_in_any_order(tmp_path_factory, order, region, backward):
    """Pixels lie in the file in another order than in the array, and along one axis the other way around."""
    path = tmp_path_factory.getbasetemp() / "strided.raw"
    path.write_bytes(b"header!" + PIXELS.tobytes())
    view = np.flip(PIXELS.transpose(order), backward)
    offset = 7 + view.__array_interface__["data"][0] - PIXELS.__array_interface__["data"][0]
    array = pickle.loads(pickle.dumps(StridedArray(str(path), view.dtype, view.shape, view.strides, offset)))
    region = tuple(slice(min(s.start, n), min(s.stop, n)) for s, n in zip(region, view.shape, strict=True))
    np.testing.assert_array_equal(array[region], view[region])


def test_strided_array_reads_little_more_than_is_asked_for(tmp_path, monkeypatch):
    pixels = np.zeros((8, 512, 512, 4), np.uint8)
    (tmp_path / "a.raw").write_bytes(pixels.tobytes())
    array = StridedArray(str(tmp_path / "a.raw"), pixels.dtype, pixels.shape, pixels.strides, 0)
    seen, allocate = [], np.empty
    monkeypatch.setattr(np, "empty", lambda shape, *a: seen.append(np.prod(shape)) or allocate(shape, *a))
    assert array[slice(3, 4), slice(100, 140), slice(7, 47), slice(1, 2)].shape == (1, 40, 40, 1)
    assert max(seen) <= 4096


def test_strided_array_that_ends_too_early(tmp_path):
    (tmp_path / "a.raw").write_bytes(PIXELS.tobytes()[:-1])
    array = StridedArray(str(tmp_path / "a.raw"), PIXELS.dtype, PIXELS.shape, PIXELS.strides, 0)
    with pytest.raises(ChunkError, match="truncated"):
        array[tuple(map(slice, (0,) * 4, SHAPE))]


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

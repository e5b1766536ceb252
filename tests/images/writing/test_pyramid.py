import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_restore.errors import OutputError
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.pyramid import downsample, downsample_labels, downsample_unit, levels_for
from napari_restore.images.writing.unit_writer import UnitWriter


@pytest.mark.parametrize(
    ("shape", "axes", "levels"),
    [((256, 256), "YX", 1), ((257, 10), "YX", 2), ((9, 10, 2048), "ZYX", 4), ((100, 2049, 3), "YXS", 5)],
)
def test_levels_until_planes_are_small(shape, axes, levels):
    assert levels_for(shape, axes) == levels


def exact_mean(pixels):
    """Mean over blocks of 2 x 2 with Python integers, halves rounded to even."""
    height, width = pixels.shape
    blocks = [
        [[int(v) for v in pixels[y : y + 2, x : x + 2].ravel()] for x in range(0, width, 2)]
        for y in range(0, height, 2)
    ]

    def rounded(values):
        whole, rest = divmod(sum(values), len(values))
        twice = 2 * rest
        return whole + (twice > len(values) or (twice == len(values) and whole % 2 == 1))

    return np.array([[rounded(block) for block in row] for row in blocks], dtype=object)


@given(
    hnp.arrays(
        st.sampled_from([np.dtype(t) for t in ("u1", "i1", "u2", "i4", "u8", "i8")]),
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
    )
)
def test_integers_are_averaged_exactly(pixels):
    got = downsample(pixels)
    assert got.dtype == pixels.dtype
    np.testing.assert_array_equal(got.astype(object), exact_mean(pixels))


def test_ends_of_the_range_do_not_wrap():
    for dtype in ("u1", "i1", "u8", "i8"):
        for value in (np.iinfo(dtype).min, np.iinfo(dtype).max):
            assert downsample(np.full((3, 3), value, dtype)).tolist() == [[value] * 2] * 2


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_floats_are_averaged_without_overflow(dtype):
    largest = np.finfo(dtype).max
    assert (downsample(np.full((2, 2), largest, dtype)) == largest).all()
    assert downsample(np.array([[1, 2, 3], [4, 5, 7]], dtype)).tolist() == [[3, 5]]


def test_nan_and_infinity_stay_in_their_block():
    pixels = np.zeros((4, 4), "f4")
    pixels[0, 0], pixels[3, 3], pixels[3, 0], pixels[2, 1] = np.nan, np.inf, np.inf, -np.inf
    got = downsample(pixels)
    assert np.isnan(got[0, 0]) and np.isnan(got[1, 0]) and got[1, 1] == np.inf and got[0, 1] == 0


@pytest.mark.parametrize(
    ("version", "chunks", "shards"),
    [("0.5", (1, 16, 32), (2, 32, 64)), ("0.5", (2, 25, 17), None), ("0.4", (1, 16, 32), None)],
)
def test_units_in_any_order_make_the_mean_of_the_whole(tmp_path, version, chunks, shards):
    path = tmp_path / "out.zarr"
    shape = (3, 101, 131)
    pixels = np.random.default_rng(0).integers(0, 2**16, shape).astype("u2")
    ome_zarr.create(path, shape=shape, dtype="u2", axes="ZYX", chunks=chunks, shards=shards, levels=3, version=version)
    writer = UnitWriter(path)
    for unit in ome_zarr.missing_units(path, 0):
        writer.write(unit, pixels[ome_zarr.unit_region(writer.level(0), unit)])
    expected = pixels
    for level in (1, 2):
        for unit in reversed(list(ome_zarr.missing_units(path, level))):
            downsample_unit(writer, unit)
        expected = downsample(expected)
        np.testing.assert_array_equal(ome_zarr.open_level(path, level)[:], expected)
        assert ome_zarr.stored_units(path, level).all()


def test_a_level_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / "out.zarr"
    ome_zarr.create(path, shape=(8, 8), dtype="u1", axes="YX", chunks=(8, 8), levels=2)
    for level, index in ((0, (0, 0)), (2, (0, 0)), (1, (1, 0))):
        with pytest.raises(OutputError):
            downsample_unit(UnitWriter(path), WriteUnit(level, index))


def test_damage_in_the_level_before_is_told(tmp_path):
    path = tmp_path / "out.zarr"
    ome_zarr.create(path, shape=(16, 16), dtype="u1", axes="YX", chunks=(8, 8), levels=2)
    writer = UnitWriter(path)
    writer.write(WriteUnit(0, (0, 0)), np.arange(64, dtype="u1").reshape(8, 8))
    stored = path / "0/c/0/0"
    stored.write_bytes(stored.read_bytes()[:-3])
    with pytest.raises(OutputError, match="cannot be read"):
        downsample_unit(writer, WriteUnit(1, (0, 0)))
    assert not ome_zarr.stored_units(path, 1).any()


@pytest.mark.parametrize("index", [(0, 0), (1, 1), (0, 1)])
def test_a_unit_that_is_gone_is_not_taken_for_fill_values(tmp_path, index):
    path = tmp_path / "out.zarr"
    ome_zarr.create(path, shape=(15, 13), dtype="u1", axes="YX", chunks=(8, 8), levels=2)
    writer = UnitWriter(path)
    for unit in ome_zarr.missing_units(path, 0):
        writer.write(unit, np.full([s.stop - s.start for s in ome_zarr.unit_region(writer.level(0), unit)], 7, "u1"))
    writer.delete(WriteUnit(0, index))
    with pytest.raises(OutputError, match=f"level 0, unit {index[0]}/{index[1]} of .* was stored and is not there"):
        downsample_unit(writer, WriteUnit(1, (0, 0)))
    assert not writer.stores(WriteUnit(1, (0, 0)))


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 3)))
def test_coarser_labels_are_the_most_frequent_ones(pixels):
    got = downsample_labels(pixels)
    assert got.dtype == pixels.dtype and got.shape == tuple(-(-n // 2) for n in pixels.shape)
    for y, x in np.ndindex(got.shape):
        block = pixels[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
        assert block.count(got[y, x]) == max(map(block.count, block))

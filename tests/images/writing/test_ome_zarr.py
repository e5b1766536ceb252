import warnings

import numpy as np
import ome_zarr_models.v04.image
import ome_zarr_models.v05.image
import pytest
import zarr

from napari_restore.errors import AxesError, OutputError
from napari_restore.images.image import Channel
from napari_restore.images.opening import open_image
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.unit_writer import UnitWriter

SHAPE = (2, 2, 2, 50, 40)
LAYOUTS = [("0.5", (1, 1, 1, 32, 32)), ("0.5", None), ("0.4", None)]


def make(path, *, shape=SHAPE, dtype="u2", axes="TCZYX", chunks=(1, 1, 1, 16, 32), shards=None, levels=1, **more):
    ome_zarr.create(path, shape=shape, dtype=dtype, axes=axes, chunks=chunks, shards=shards, levels=levels, **more)
    return path


def write_all(path, level, pixels):
    writer = UnitWriter(path)
    for unit in ome_zarr.missing_units(path, level):
        writer.write(unit, pixels[ome_zarr.unit_region(writer.level(level), unit)])


def objects(path, level):
    """Relative paths of everything in a level that is not metadata."""
    root = path / str(level)
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.name[0] not in ".z")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.zarr"


@pytest.mark.parametrize(("version", "shards"), LAYOUTS)
def test_what_is_written_unit_by_unit_is_read_back(path, version, shards):
    pixels = np.random.default_rng(0).integers(0, 2**16, SHAPE).astype("u2")
    make(path, version=version, shards=shards)
    write_all(path, 0, pixels)
    np.testing.assert_array_equal(zarr.open_array(path / "0", mode="r")[:], pixels)
    assert not list(ome_zarr.missing_units(path, 0))


def test_create_writes_no_pixels_and_keeps_attributes(path):
    make(path, attributes={"recipe": {"tile": 256}, "list": [1, None]}, levels=2)
    assert objects(path, 0) == objects(path, 1) == []
    assert ome_zarr.read_attributes(path) == {"recipe": {"tile": 256}, "list": [1, None]}


def test_attributes_of_nothing_are_none(tmp_path):
    assert ome_zarr.read_attributes(tmp_path / "missing.zarr") is None
    (tmp_path / "empty").mkdir()
    assert ome_zarr.read_attributes(tmp_path / "empty") is None
    zarr.create_group(tmp_path / "other.zarr")
    assert ome_zarr.read_attributes(tmp_path / "other.zarr") is None


def test_broken_metadata_are_an_error(path):
    make(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(OutputError, match="metadata"):
        ome_zarr.read_attributes(path)


def test_scale_and_translation_of_levels_follow_the_half_pixel_rule(path):
    make(
        path,
        levels=3,
        pixel_size={"Y": 0.5, "X": 0.25, "Z": 2.0, "T": 10.0},
        origin={"Y": 100.0, "Z": 7.0},
        units={"Y": "micrometer", "X": "micrometer", "Z": "micrometer", "T": "second"},
    )
    multiscale = zarr.open_group(path, mode="r").attrs["ome"]["multiscales"][0]
    assert [axis.get("unit") for axis in multiscale["axes"]] == ["second", None, *["micrometer"] * 3]
    assert [axis["type"] for axis in multiscale["axes"]] == ["time", "channel", "space", "space", "space"]
    found = [[t[t["type"]] for t in d["coordinateTransformations"]] for d in multiscale["datasets"]]
    assert found == [
        [[10, 1, 2, 0.5, 0.25], [0, 0, 7, 100, 0]],
        [[10, 1, 2, 1.0, 0.5], [0, 0, 7, 100.25, 0.125]],
        [[10, 1, 2, 2.0, 1.0], [0, 0, 7, 100.75, 0.375]],
    ]


@pytest.mark.parametrize(("version", "model"), [("0.5", ome_zarr_models.v05), ("0.4", ome_zarr_models.v04)])
@pytest.mark.parametrize("axes", ["YX", "ZYX", "TCZYX", "TZYXS"])
def test_output_validates_against_ome_zarr_models(path, version, model, axes):
    sizes = {"T": 2, "C": 2, "Z": 3, "Y": 50, "X": 70, "S": 3}
    shape = [sizes[axis] for axis in axes]
    names = [Channel(name=name) for name in "ab"] if "C" in axes else ()
    make(path, shape=shape, axes=axes, chunks=[min(n, 16) for n in shape], levels=2, version=version, channels=names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = model.image.Image.from_zarr(zarr.open_group(path, mode="r"))
    assert image.ome_zarr_version == version
    assert len(image.datasets[0]) == 2


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_ome_zarr_py_opens_the_output(path, version):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    pixels = np.random.default_rng(1).integers(0, 200, SHAPE).astype("u2")
    make(path, version=version, levels=2, channels=[Channel("DAPI", "0000FF", (3, 90)), Channel("GFP", "00FF00")])
    write_all(path, 0, pixels)
    node = next(iter(Reader(parse_url(str(path)))()))
    np.testing.assert_array_equal(np.asarray(node.data[0]), pixels)
    assert [axis["name"] for axis in node.metadata["axes"]] == list("tczyx")
    assert node.metadata["channel_names"] == ["DAPI", "GFP"]


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_channels_units_and_scale_come_back_on_opening(path, version):
    channels = (Channel("DAPI", "0000FF", (3.0, 90.0)), Channel("GFP", "00FF00", (0.0, 65535.0)))
    scale, origin = {"T": 2.0, "Z": 0.3, "Y": 0.1, "X": 0.1}, {"Y": 5.0, "X": -1.5}
    units = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
    make(path, version=version, name="cells", pixel_size=scale, origin=origin, units=units, channels=channels)
    image = open_image(path)
    assert (image.axes, image.name, image.channels, image.units) == ("TCZYX", "cells", channels, units)
    assert image.pixel_size == {"C": 1.0, **scale}
    assert {axis: image.origin[axis] for axis in "ZYX"} == {"Z": 0.0, **origin}
    assert image.chunks == (1, 1, 1, 16, 32)


def test_channels_without_window_get_the_range_of_the_type_and_a_colour_each(path):
    make(path, channels=[Channel("a"), Channel(window=(5, 6))])
    first, second = zarr.open_group(path, mode="r").attrs["ome"]["omero"]["channels"]
    assert first["window"] == {"min": 0, "max": 65535, "start": 0, "end": 65535}
    assert second["window"] == {"min": 0, "max": 65535, "start": 5, "end": 6}
    assert (first["label"], second["label"]) == ("a", "Channel 1")
    assert first["color"] != second["color"]


def test_colour_samples_are_stored_as_channels(path):
    rgb = [Channel(name) for name in ("red", "green", "blue")]
    make(path, shape=(40, 50, 3), axes="YXS", chunks=(16, 20, 3), dtype="u1", channels=rgb)
    array = ome_zarr.open_level(path, 0)
    assert array.shape == (3, 40, 50) and array.chunks == (3, 16, 20)
    ome = zarr.open_group(path, mode="r").attrs["ome"]
    assert [axis["name"] for axis in ome["multiscales"][0]["axes"]] == ["c", "y", "x"]
    assert [channel["color"] for channel in ome["omero"]["channels"]] == ["FF0000", "00FF00", "0000FF"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"axes": "CYXS", "shape": (2, 9, 9, 3), "chunks": (1, 9, 9, 3)}, "one at a time"),
        ({"axes": "TCZXY"}, "order of TCZYXS"),
        ({"version": "0.6"}, "use '0.5' or '0.4'"),
        ({"version": "0.4", "shards": (1, 1, 1, 16, 32)}, "need Zarr 3"),
        ({"shards": (1, 1, 1, 24, 32)}, "multiples of the chunks"),
        ({"chunks": (1, 16, 16)}, "one length for each axis"),
        ({"chunks": (1, 1, 1, 0, 16)}, "less than 1"),
        ({"levels": 0}, "levels 0"),
        ({"channels": [Channel("a")] * 3}, "3 channels"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(path, change, told):
    with pytest.raises(OutputError, match=told):
        make(path, **change)
    assert not path.exists()


def test_axes_that_do_not_fit_are_refused(path):
    with pytest.raises(AxesError):
        make(path, axes="ZYX")


def test_an_existing_path_is_refused(path):
    make(path)
    with pytest.raises(OutputError, match="exists already"):
        make(path)
    (path.parent / "file").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        make(path.parent / "file")


def test_a_level_that_is_not_there(path):
    make(path)
    with pytest.raises(OutputError, match="no level 4"):
        ome_zarr.open_level(path, 4)


@pytest.mark.parametrize(("version", "shards"), LAYOUTS)
def test_missing_units_are_the_deleted_and_the_empty_ones(path, version, shards):
    make(path, version=version, shards=shards)
    write_all(path, 0, np.ones(SHAPE, "u2"))
    prefix = "c/" if version == "0.5" else ""
    (path / "0" / f"{prefix}1/0/0/1/1").unlink()
    (path / "0" / f"{prefix}0/1/0/1/0").write_bytes(b"")  # as after a loss of power
    (path / "0" / f"{prefix}0/1/0/1/notes.txt").write_text("not an object")
    assert list(ome_zarr.missing_units(path, 0)) == [
        WriteUnit(0, (0, 1, 0, 1, 0)),
        WriteUnit(0, (1, 0, 0, 1, 1)),
    ]


def test_missing_units_on_a_url(path):
    fsspec = pytest.importorskip("fsspec")
    url = "memory://bucket/out.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make(url, levels=2)
        UnitWriter(url).write(WriteUnit(0, (1, 0, 1, 3, 1)), np.ones((1, 1, 1, 2, 8), "u2"))
        assert np.argwhere(ome_zarr.stored_units(url, 0)).tolist() == [[1, 0, 1, 3, 1]]
        assert not ome_zarr.stored_units(url, 1).any()
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_flipped_bit_is_noticed(path, version):
    make(path, version=version, shape=(64, 64), axes="YX", chunks=(64, 64))
    pixels = np.random.default_rng(0).integers(0, 2**16, (64, 64)).astype("u2")
    write_all(path, 0, pixels)
    stored = path / "0" / ("c/0/0" if version == "0.5" else "0/0")
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    with pytest.raises(RuntimeError):
        ome_zarr.open_level(path, 0)[:]


@pytest.mark.parametrize(
    "error", [ConnectionError("no route"), PermissionError("denied"), TimeoutError("late")], ids=repr
)
@pytest.mark.parametrize(
    "read", [ome_zarr.read_attributes, lambda path: ome_zarr.open_level(path, 0)], ids=["group", "level"]
)
def test_what_cannot_be_reached_is_not_called_damaged(tmp_path, monkeypatch, error, read):
    def unreachable(*_, **__):
        raise error

    make(tmp_path / "a.zarr")
    monkeypatch.setattr(zarr, "open_group", unreachable)
    monkeypatch.setattr(zarr, "open_array", unreachable)
    with pytest.raises(OutputError, match=r"cannot be read: .*; check its address, the network"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b'{"zarr_format": 3, "node_type": "array", "shape": [1e999]}'], ids=repr
)
def test_damaged_metadata_are_repaired_and_not_looked_for(tmp_path, damage):
    path = make(tmp_path / "a.zarr")
    (path / "0/zarr.json").write_bytes(damage)
    with pytest.raises(OutputError, match="verify --repair"):
        ome_zarr.open_level(path, 0)

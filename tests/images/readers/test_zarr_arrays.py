import json
import multiprocessing
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from napari_restore import api
from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.image import Channel
from napari_restore.images.opening import open_image

PIXELS = np.random.default_rng(0).integers(0, 2**16, (3, 40, 50)).astype("u2")


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def total(image):
    return int(whole(image).sum())


def write(path, zarr_format=3, names=None, **more):
    array = zarr.create_array(
        str(path), shape=PIXELS.shape, dtype="u2", chunks=(1, 16, 16), zarr_format=zarr_format, **more
    )
    if zarr_format == 3 and names:
        array = zarr.create_array(
            str(path), shape=PIXELS.shape, dtype="u2", chunks=(1, 16, 16), dimension_names=names, overwrite=True, **more
        )
    elif names:
        array.attrs["_ARRAY_DIMENSIONS"] = list(names)
    array[:] = PIXELS
    return array


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("names", [("z", "y", "x"), ("time", "Y", "X")])
def test_arrays_with_names(tmp_path, zarr_format, names):
    write(tmp_path / "a.zarr", zarr_format, names)
    image = open_image(tmp_path / "a.zarr")
    assert image.axes == ("ZYX" if names[0] == "z" else "TYX")
    assert (image.name, image.chunks, image.location) == ("a.zarr", (1, 16, 16), str(tmp_path / "a.zarr"))
    np.testing.assert_array_equal(whole(image), PIXELS)


@pytest.mark.parametrize("names", [None, ("z", "y", "wavelength")])
def test_arrays_without_usable_names_ask_for_axes(tmp_path, names):
    write(tmp_path / "a.zarr", 3, names)
    with pytest.raises(AxesError, match="pass axes="):
        open_image(tmp_path / "a.zarr")
    assert open_image(tmp_path / "a.zarr", axes="CYX").axes == "CYX"


def test_sharded_array_reports_its_chunks(tmp_path):
    write(tmp_path / "a.zarr", 3, "zyx", shards=(3, 32, 64))
    image = open_image(tmp_path / "a.zarr")
    assert image.chunks == (1, 16, 16)
    np.testing.assert_array_equal(whole(image), PIXELS)


def test_array_objects_local_and_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    local = write("a.zarr", 3, "zyx")
    memory = zarr.create_array({}, data=PIXELS, dimension_names=tuple("zyx"))
    for array, location in ((local, str(tmp_path / "a.zarr")), (memory, None)):
        image = open_image(array)
        assert image.location == location
        parcel = pickle.dumps(image)
        monkeypatch.chdir("/")
        np.testing.assert_array_equal(whole(pickle.loads(parcel)), PIXELS)


def test_array_of_a_group_is_located(tmp_path):
    group = zarr.create_group(str(tmp_path / "g.zarr"))
    group.create_array("deep/raw", data=PIXELS[0])
    image = open_image(group["deep/raw"])
    assert image.location == str(tmp_path / "g.zarr" / "deep" / "raw") and image.name == "raw"
    np.testing.assert_array_equal(whole(image), PIXELS[0])
    np.testing.assert_array_equal(whole(open_image(image.location)), PIXELS[0])


def test_spawned_process_reads(tmp_path):
    write(tmp_path / "a.zarr", 3, "zyx")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(total, [open_image(tmp_path / "a.zarr")]) == [PIXELS.sum()]


def test_threads_read_at_once(tmp_path):
    write(tmp_path / "a.zarr", 3, "zyx")
    image = open_image(tmp_path / "a.zarr")
    regions = [(slice(z, z + 1), slice(y, y + 20), slice(3, 40)) for z in range(3) for y in range(20)]
    with ThreadPoolExecutor(8) as pool:
        for region, got in zip(regions, pool.map(image.read, regions), strict=True):
            np.testing.assert_array_equal(got, PIXELS[region])


def ome_group(path, version="0.5", *, levels=2, axes="zyx", **multiscale):
    """An OME-Zarr written by hand, with transformations for the levels and for the image."""
    group = zarr.create_group(str(path), zarr_format=3 if version == "0.5" else 2)
    kinds = {"t": "time", "c": "channel"}
    described = [{"name": a, "type": kinds.get(a, "space"), "unit": "nanometer"} for a in axes]
    datasets = []
    for level in range(levels):
        data = PIXELS[:, :: 2**level, :: 2**level]
        more = {"dimension_names": tuple(axes)} if version == "0.5" else {}
        group.create_array(f"s{level}", data=data, chunks=(1, 16, 16), **more)
        transforms = [
            {"type": "scale", "scale": [4.0, 2.0 * 2**level, 3.0 * 2**level]},
            {"type": "translation", "translation": [0.0, 1.0 * level, 1.5 * level]},
        ]
        datasets.append({"path": f"s{level}", "coordinateTransformations": transforms})
    multiscale = {"axes": described, "datasets": datasets, "name": "cells", **multiscale}
    channel = {"label": "GFP", "color": "00ff00", "window": {"min": 0, "max": 9, "start": 1, "end": 5}, "active": True}
    ome = {"multiscales": [multiscale], "omero": {"channels": [channel] * (3 if "c" in axes else 1)}}
    group.attrs.update({"ome": {**ome, "version": version}} if version == "0.5" else ome)
    return group


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_levels_have_their_own_place(tmp_path, version):
    ome_group(tmp_path / "o.zarr", version)
    image = open_image(tmp_path / "o.zarr", level=1)
    assert (image.axes, image.name) == ("ZYX", "cells")
    assert image.pixel_size == {"Z": 4.0, "Y": 4.0, "X": 6.0}
    assert image.origin == {"Z": 0.0, "Y": 1.0, "X": 1.5}
    assert image.units == dict.fromkeys("ZYX", "nanometer")
    assert image.channels == (Channel("GFP", "00FF00", (1.0, 5.0)),)
    np.testing.assert_array_equal(whole(image), PIXELS[:, ::2, ::2])
    np.testing.assert_array_equal(whole(pickle.loads(pickle.dumps(image))), PIXELS[:, ::2, ::2])


def test_transformations_of_the_image_apply_after_those_of_the_level(tmp_path):
    overall = [{"type": "scale", "scale": [10.0] * 3}, {"type": "translation", "translation": [5.0] * 3}]
    ome_group(tmp_path / "o.zarr", coordinateTransformations=overall)
    image = open_image(tmp_path / "o.zarr", level=1)
    assert image.pixel_size == {"Z": 40.0, "Y": 40.0, "X": 60.0}
    assert image.origin == {"Z": 5.0, "Y": 15.0, "X": 20.0}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_axis_may_run_backwards(tmp_path, version):
    overall = [{"type": "scale", "scale": [1.0, -1.0, 1.0]}]
    ome_group(tmp_path / "o.zarr", version, coordinateTransformations=overall)
    image = open_image(tmp_path / "o.zarr", level=1)
    assert image.pixel_size == {"Z": 4.0, "Y": -4.0, "X": 6.0} and image.origin == {"Z": 0.0, "Y": -1.0, "X": 1.5}
    assert not image.notes


@pytest.mark.parametrize("level", [0, 1])
def test_without_transformations_the_pixel_size_is_unknown_and_said(tmp_path, level):
    group = ome_group(tmp_path / "o.zarr", datasets=[{"path": "s0"}, {"path": "s1"}])
    assert group.attrs["ome"]["multiscales"][0]["datasets"][0] == {"path": "s0"}
    image = open_image(tmp_path / "o.zarr", level=level)
    assert (image.pixel_size, image.origin, image.units) == ({}, {}, {})
    assert any("no scale" in note for note in image.notes)
    np.testing.assert_array_equal(whole(image), PIXELS[:, :: 2**level, :: 2**level])


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf")])
def test_a_scale_that_no_pixel_has_is_unknown_and_said(tmp_path, scale):
    ome_group(tmp_path / "o.zarr", coordinateTransformations=[{"type": "scale", "scale": [scale, 1.0, 1.0]}])
    image = open_image(tmp_path / "o.zarr")
    assert image.pixel_size == {"Y": 2.0, "X": 3.0} and set(image.origin) == set(image.units) == set("YX")
    assert len(image.notes) == 1 and "along Z" in image.notes[0]


def test_channels_of_an_ome_zarr(tmp_path):
    ome_group(tmp_path / "o.zarr", axes="cyx")
    image = open_image(tmp_path / "o.zarr")
    assert image.axes == "CYX" and len(image.channels) == 3


def test_axes_of_the_user_take_scale_by_position(tmp_path):
    ome_group(tmp_path / "o.zarr")
    image = open_image(tmp_path / "o.zarr", axes="TYX")
    assert image.axes == "TYX" and image.pixel_size == {"T": 4.0, "Y": 2.0, "X": 3.0}


def test_older_axes_are_understood(tmp_path):
    ome_group(tmp_path / "o.zarr", "0.4", axes="zyx")
    attributes = json.loads((tmp_path / "o.zarr/.zattrs").read_text())
    attributes["multiscales"][0]["axes"] = ["z", "y", "x"]  # 0.3
    (tmp_path / "o.zarr/.zattrs").write_text(json.dumps(attributes))
    assert open_image(tmp_path / "o.zarr").axes == "ZYX"


@pytest.mark.parametrize(
    ("choice", "told"), [({"level": 2}, "it has 2"), ({"series": 1}, "it has 1"), ({"level": -1}, "-1")]
)
def test_level_or_series_that_is_not_there(tmp_path, choice, told):
    ome_group(tmp_path / "o.zarr")
    with pytest.raises(SourceError, match=told):
        open_image(tmp_path / "o.zarr", **choice)


def test_level_of_an_array_is_refused(tmp_path):
    write(tmp_path / "a.zarr", 3, "zyx")
    with pytest.raises(SourceError, match="level 1"):
        open_image(tmp_path / "a.zarr", level=1)


def test_collection_of_bioformats2raw(tmp_path):
    root = zarr.create_group(str(tmp_path / "b.zarr"), zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    ome_group(tmp_path / "b.zarr/0", "0.4")
    ome_group(tmp_path / "b.zarr/1", "0.4", name="second")
    image = open_image(tmp_path / "b.zarr", series=1)
    assert image.name == "second"
    np.testing.assert_array_equal(whole(image), PIXELS)
    with pytest.raises(SourceError, match="series 2"):
        open_image(tmp_path / "b.zarr", series=2)


def test_groups_that_are_no_image(tmp_path):
    group = zarr.create_group(str(tmp_path / "g.zarr"))
    group.create_array("raw", data=PIXELS)
    with pytest.raises(SourceError, match=r"\['raw'\]"):
        open_image(tmp_path / "g.zarr")
    zarr.create_group(str(tmp_path / "p.zarr")).attrs["ome"] = {"plate": {}, "version": "0.5"}
    with pytest.raises(SourceError, match="plate"):
        open_image(tmp_path / "p.zarr")
    with pytest.raises(SourceError, match=r"zarr\.Group"):
        open_image(group)


def test_array_named_by_the_metadata_but_missing(tmp_path):
    group = ome_group(tmp_path / "o.zarr")
    del group["s1"]
    with pytest.raises(SourceError, match="'s1', which does not exist"):
        open_image(tmp_path / "o.zarr", level=1)


@pytest.mark.parametrize("content", ["", "{", '{"zarr_format": 3, "node_type": "array"}'])
def test_damaged_metadata(tmp_path, content):
    write(tmp_path / "a.zarr", 3, "zyx")
    (tmp_path / "a.zarr/zarr.json").write_text(content)
    with pytest.raises(SourceError, match=r"a\.zarr"):
        open_image(tmp_path / "a.zarr")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_chunk_is_named(tmp_path, damage):
    write(tmp_path / "a.zarr", 3, "zyx", compressors=ZstdCodec(checksum=True))
    damage(tmp_path / "a.zarr/c/1/2/0")
    image = open_image(tmp_path / "a.zarr")
    image.read((slice(None), slice(0, 32), slice(None)))
    with pytest.raises(ChunkError, match=r"a\.zarr: chunk \(1, 2, 0\) \(object 'c/1/2/0'\)"):
        whole(image)


def test_damaged_shard_is_named(tmp_path):
    write(tmp_path / "a.zarr", 3, "zyx", compressors=ZstdCodec(checksum=True), shards=(3, 32, 32))
    flip(tmp_path / "a.zarr/c/0/0/1")
    with pytest.raises(ChunkError, match=r"chunk \(\d, [01], [23]\) \(object 'c/0/0/1'\)"):
        whole(open_image(tmp_path / "a.zarr"))


def test_damaged_chunk_of_version_2_without_compression(tmp_path):
    write(tmp_path / "a.zarr", 2, "zyx", compressors=None)
    cut(tmp_path / "a.zarr/2.0.1")
    with pytest.raises(ChunkError, match=r"chunk \(2, 0, 1\)"):
        whole(open_image(tmp_path / "a.zarr"))


def test_url(tmp_path):
    write(tmp_path / "a.zarr", 3, "zyx")
    image = open_image(f"file://{tmp_path}/a.zarr")
    assert image.location == f"file://{tmp_path}/a.zarr"
    np.testing.assert_array_equal(whole(pickle.loads(pickle.dumps(image))), PIXELS)
    with pytest.raises(SourceError, match="does not exist"):
        open_image(f"file://{tmp_path}/missing.zarr")


def test_a_small_region_of_a_large_array_does_not_read_it_all(tmp_path):
    shape = (25, 2000, 2000)  # 200 MB
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=shape, dtype="u2", chunks=(1, 256, 256), shards=(5, 2048, 2048),
        compressors=None, dimension_names=tuple("zyx"),
    )  # fmt: skip
    for start in range(0, 25, 5):
        array[start : start + 5] = start
    tracemalloc.start()
    image = open_image(tmp_path / "a.zarr")
    got = image.read((slice(20, 21), slice(100, 150), slice(1000, 1050)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (got == 20).all() and peak < 8e6


@pytest.mark.parametrize("fill", [None, 0])
def test_chunks_that_are_not_stored_have_a_value_only_if_the_array_gives_one(tmp_path: Path, fill: int | None) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(4, 6, 8), chunks=(1, 6, 8), dtype="u2", zarr_format=2, fill_value=fill
    )
    array[:3] = 5
    image = open_image(tmp_path / "a.zarr", axes="ZYX")
    assert image.read((slice(0, 3), slice(0, 6), slice(0, 8))).min() == 5
    region = (slice(2, 4), slice(1, 3), slice(0, 8))
    if fill == 0:
        assert image.read(region)[1].max() == 0
        return
    with pytest.raises(ChunkError, match=r"chunk \(3, 0, 0\) .*is not stored, and the array has no fill value"):
        image.read(region)
    with pytest.raises(ChunkError, match="no fill value"):
        open_image(zarr.open_array(tmp_path / "a.zarr", mode="r"), axes="ZYX").read(region)
    out = api.denoise(tmp_path / "a.zarr", tmp_path / "out.zarr", axes="ZYX", on_error="fill", value_range=[(0, 9)],
                      valid_range="all", fill_values="none", neighbours="none", device="cpu")  # fmt: skip
    assert "1 region of the source could not be read" in str(api.run_report(out))


def test_a_pixel_size_of_zero_is_unknown_and_said(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", data=np.ones((2, 16, 16), np.uint16))
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    sets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0, 0.5, 0.5]}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": sets}]}
    image = open_image(tmp_path / "a.zarr")
    assert image.pixel_size == {"Y": 0.5, "X": 0.5} and "Z" not in image.units
    assert any("pixel size 0.0 along Z" in note and "1 without a unit in the result" in note for note in image.notes)
    out = api.denoise(tmp_path / "a.zarr", tmp_path / "out.zarr", value_range=[(0, 9)], valid_range="all",
                      fill_values="none", neighbours="none", device="cpu")  # fmt: skip
    stored = zarr.open_group(out, mode="r").attrs["ome"]["multiscales"][0]
    assert "unit" not in stored["axes"][0] and stored["axes"][1]["unit"] == "micrometer"
    assert stored["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 0.5, 0.5]
    assert "pixel size 0.0 along Z" in str(api.run_report(out))


def test_levels_in_another_order_are_said(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    sets = []
    for name, step in (("0", 2), ("1", 1), ("2", 4)):
        group.create_array(name, data=PIXELS[0, ::step, ::step])
        sets.append({"path": name, "coordinateTransformations": [{"type": "scale", "scale": [step, step]}]})
    axes = [{"name": axis, "type": "space"} for axis in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": sets}]}
    assert any("Level 0 is not the largest" in note for note in open_image(tmp_path / "a.zarr").notes)
    assert open_image(tmp_path / "a.zarr", level=1).shape == PIXELS[0].shape
    (tmp_path / "a.zarr" / "0" / "zarr.json").write_text("{")  # nothing is known of its size
    assert not any("not the largest" in note for note in open_image(tmp_path / "a.zarr", level=1).notes)


def test_a_codec_that_is_not_here_is_no_damage(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((9, 9), np.uint16), zarr_format=2)
    meta = json.loads((tmp_path / "a.zarr/.zarray").read_text())
    (tmp_path / "a.zarr/.zarray").write_text(json.dumps({**meta, "compressor": {"id": "mycodec"}}))
    with pytest.raises(SourceError, match=r"a codec that is not installed here .*mycodec"):
        open_image(tmp_path / "a.zarr")


def test_a_unit_that_is_unknown_is_said(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.create_array("0", data=np.ones((9, 9), np.uint16))
    axes = [{"name": "y", "type": "space", "unit": "furlong"}, {"name": "x", "type": "space", "unit": "um"}]
    scale = {"type": "scale", "scale": [2.0, 3.0]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    image = open_image(tmp_path / "a.zarr")
    assert image.pixel_size == {"Y": 2.0, "X": 3.0} and image.units == {"X": "micrometer"}
    assert "'furlong' of Y" in image.notes[0]

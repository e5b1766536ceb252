"""OME-Zarr 0.6, several images in a group, and levels by their path: opened as files."""

import json

import numpy as np
import pytest
import zarr

from napari_restore import api
from napari_restore.errors import SourceError
from napari_restore.images.image import Channel
from napari_restore.images.opening import open_image

PIXELS = np.random.default_rng(0).integers(1, 2**16, (2, 3, 32, 48)).astype("u2")
AXES = [
    {"name": "c", "type": "channel"}, *({"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"),
]  # fmt: skip
OMERO = {"channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}]}


def write(path, transformations, *, systems=None, further=None, reference=str):
    """A group of OME-Zarr 0.6 with two levels; `reference` is how its version refers to a coordinate system."""
    group = zarr.create_group(path, zarr_format=3)
    datasets = []
    for level in range(2):
        group.create_array(f"s{level}", data=PIXELS[..., :: 2**level, :: 2**level])
        one = {**transformations(2**level), "output": reference("physical")}
        datasets.append({"path": f"s{level}", "coordinateTransformations": [one]})
    multiscale = {
        "name": "cells", "datasets": datasets,
        "coordinateSystems": systems or [{"name": "physical", "axes": AXES}],
        **({"coordinateTransformations": further} if further else {}),
    }  # fmt: skip
    group.attrs["ome"] = {"version": "0.6", "multiscales": [multiscale], "omero": OMERO}
    return path


def sequence(factor):
    return {
        "type": "sequence",
        "transformations": [
            {"type": "scale", "scale": [1, 2.0, 0.5 * factor, 0.5 * factor]},
            {"type": "translation", "translation": [0, -4.0, 10.0 + factor, 20.0]},
        ],
    }


def affine(factor):
    half = 0.5 * factor
    rows = [[1, 0, 0, 0, 0], [0, 2.0, 0, 0, -4.0], [0, 0, half, 0, 10.0 + factor], [0, 0, 0, half, 20.0]]
    return {"type": "affine", "affine": rows}


@pytest.mark.parametrize("reference", [str, lambda name: {"name": name}])
@pytest.mark.parametrize("transformations", [sequence, affine])
def test_scale_origin_units_and_channels_of_0_6(tmp_path, transformations, reference):
    path = write(tmp_path / "o.zarr", transformations, reference=reference)
    for level, factor in ((0, 1), (1, 2)):
        image = open_image(path, level=level)
        assert (image.axes, image.name) == ("CZYX", "cells")
        assert [image.pixel_size[a] for a in "ZYX"] == [2.0, 0.5 * factor, 0.5 * factor]
        assert [image.origin[a] for a in "ZYX"] == [-4.0, 10.0 + factor, 20.0]
        assert image.units == dict.fromkeys("ZYX", "micrometer") and not image.notes
        assert image.channels == (Channel("DAPI", "0000FF"), Channel("GFP", "00FF00"))


def test_the_result_of_a_source_in_0_6_has_its_place(tmp_path):
    api.denoise(write(tmp_path / "o.zarr", sequence), output=tmp_path / "out.zarr", tile=64, halo=8)
    image = open_image(tmp_path / "out.zarr")
    assert [image.pixel_size[a] for a in "ZYX"] == [2.0, 0.5, 0.5] and image.origin["Y"] == 11.0
    assert image.units == dict.fromkeys("ZYX", "micrometer")


def test_the_own_coordinate_system_is_taken_and_others_are_said(tmp_path):
    world = {"name": "world", "axes": [{**axis, "unit": "meter"} for axis in AXES if axis["name"] != "c"]}
    further = [{"type": "rotation", "input": "physical", "output": "world"}]
    systems = [world, {"name": "physical", "axes": AXES}]
    image = open_image(write(tmp_path / "o.zarr", sequence, systems=systems, further=further))
    assert image.units["Y"] == "micrometer" and image.pixel_size["Y"] == 0.5
    assert "'world' are left out" in image.notes[0]


def test_a_turned_image_says_that_its_size_is_unknown(tmp_path):
    rows = [[1, 0, 0, 0, 0], [0, 2.0, 0, 0, 0], [0, 0, 0.4, -0.3, 0], [0, 0, 0.3, 0.4, 0]]
    image = open_image(write(tmp_path / "o.zarr", lambda factor: {"type": "affine", "affine": rows}))
    assert image.pixel_size == {"C": 1.0, "Z": 2.0} and "Y" not in image.units and "Y, X" in image.notes[0]
    assert "Y, X" in str(api.plan(image, model="restormer-denoise-light", device="cpu"))


def test_a_scene_is_refused_with_what_is_in_it(tmp_path):
    group = zarr.create_group(tmp_path / "s.zarr")
    write(tmp_path / "s.zarr/tile_0", sequence)
    group.attrs["ome"] = {"version": "0.6", "scene": {"coordinateTransformations": []}}
    with pytest.raises(SourceError, match=r"a scene.*\['tile_0'\]"):
        open_image(tmp_path / "s.zarr")


@pytest.mark.parametrize("as_object", [False, True])
def test_a_level_by_its_path_has_what_its_group_says(tmp_path, as_object):
    path = write(tmp_path / "o.zarr", sequence)
    source = zarr.open_group(path, mode="r")["s1"] if as_object else path / "s1"
    image, by_number = open_image(source), open_image(path, level=1)
    assert (image.axes, image.pixel_size, image.origin, image.units, image.channels) == (
        by_number.axes, by_number.pixel_size, by_number.origin, by_number.units, by_number.channels,
    )  # fmt: skip
    assert image.location == str(path / "s1")
    with pytest.raises(SourceError, match="level 1"):
        open_image(source, level=1)


def test_a_level_of_an_older_version_and_of_a_url(tmp_path):
    group = zarr.create_group(tmp_path / "o.zarr", zarr_format=2)
    group.create_array("deep/0", data=PIXELS)
    datasets = [{"path": "deep/0", "coordinateTransformations": [{"type": "scale", "scale": [1, 3, 2, 2]}]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": AXES, "datasets": datasets}]
    assert open_image(tmp_path / "o.zarr").pixel_size["Z"] == 3
    group.create_array("0", data=PIXELS)
    group.attrs["multiscales"] = [{"version": "0.4", "axes": AXES, "datasets": [{**datasets[0], "path": "0"}]}]
    for place in (tmp_path / "o.zarr/0", f"file://{tmp_path}/o.zarr/0"):
        assert open_image(place).pixel_size["Z"] == 3


def test_an_array_that_no_group_lists_is_an_array(tmp_path):
    path = write(tmp_path / "o.zarr", sequence)
    zarr.open_group(path, mode="a").create_array("extra", data=PIXELS[0, 0])
    assert open_image(path / "extra").pixel_size == {}


def test_images_of_one_group_are_told_apart(tmp_path):
    path = write(tmp_path / "o.zarr", sequence)
    content = json.loads((path / "zarr.json").read_text())
    both = content["attributes"]["ome"]["multiscales"]
    both.append({**both[0], "name": "small", "datasets": both[0]["datasets"][1:]})
    (path / "zarr.json").write_text(json.dumps(content))
    assert open_image(path, series="small").shape == (2, 3, 16, 24) == open_image(path, series=1).shape
    assert open_image(path).series_names == ("cells", "small")


@pytest.mark.parametrize("names", [("0", "1"), ("s0", "s1"), ("b", "a")])
@pytest.mark.parametrize("listed", [False, True])
def test_collections_name_their_images(tmp_path, names, listed):
    root = zarr.create_group(tmp_path / "b.zarr", zarr_format=3)
    root.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    if listed:
        root.create_group("OME").attrs["ome"] = {"version": "0.5", "series": list(names)}
    for name in names:
        write(tmp_path / "b.zarr" / name, sequence)
    order = names if listed else tuple(sorted(names))
    image = open_image(tmp_path / "b.zarr", series=1)
    assert image.location.endswith(f"/{order[1]}") and image.series_names == order and image.series_count == 2
    assert open_image(tmp_path / "b.zarr", series=order[0]).location.endswith(f"/{order[0]}")
    with pytest.raises(SourceError, match="series 2"):
        open_image(tmp_path / "b.zarr", series=2)

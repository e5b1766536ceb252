"""CZI files of ZEN, beside pylibCZIrw and czifile."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from czi_files import Block, czi_xml, write_czi

from napari_restore.api import open_image
from napari_restore.images.image import Image

FILES = [
    "CellDivision_T3_Z5_CH2_X240_Y170_comp1", "DAPI_GFP", "LLS7_small", "RGB-multichannel", "S3_1Pos_2Mosaic_T1_Z1_CH1",
    "WellD6_S1", "nuc_small_new_red", "tiles_z",
]  # fmt: skip


def everything(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, length) for length in image.shape))


def planes_of(other: Any, image: Image, series: int) -> Any:
    """Yield each plane of an image as pylibCZIrw reads it, and where it is."""
    scenes = other.scenes_bounding_rectangle
    color = "S" in image.axes
    options: dict[str, Any] = {}
    if len(scenes) > 1:
        box = scenes[series]
        options = {"scene": series, "roi": (box.x, box.y, box.w, box.h)}
    counts = [image.sizes.get(axis, 1) for axis in "TCZ"]
    for t, c, z in itertools.product(*map(range, counts)):
        channel = series if color and image.series_count > 1 else c
        plane = other.read(plane={"T": t, "C": channel, "Z": z}, **options)
        where = tuple(i for axis, i in zip("TCZ", (t, c, z), strict=True) if axis in image.axes)
        yield where, plane[..., ::-1] if color else plane[..., 0]


@pytest.mark.parametrize("name", FILES)
def test_every_pixel_beside_pylibczirw(makers: Path, name: str) -> None:
    czi = pytest.importorskip("pylibCZIrw.czi")
    path = makers / "czi" / f"{name}.czi"
    count = open_image(path).series_count
    with czi.open_czi(str(path)) as other:
        for series in range(count):
            image = pickle.loads(pickle.dumps(open_image(path, series=series)))
            whole = everything(image)
            for where, plane in planes_of(other, image, series):
                np.testing.assert_array_equal(whole[where], plane)


@pytest.mark.parametrize("name", FILES)
def test_sizes_and_scale_beside_pylibczirw(makers: Path, name: str) -> None:
    czi = pytest.importorskip("pylibCZIrw.czi")
    path = makers / "czi" / f"{name}.czi"
    with czi.open_czi(str(path)) as other:
        box = other.total_bounding_box
        scenes = other.scenes_bounding_rectangle
        metadata = other.metadata["ImageDocument"]["Metadata"]
    image = open_image(path)
    assert all(image.sizes.get(axis, 1) == box[axis][1] - box[axis][0] for axis in "TZ")
    if "S" not in image.axes:
        assert image.sizes.get("C", 1) == box["C"][1] - box["C"][0]
    boxes = [(scenes[n].h, scenes[n].w) for n in scenes] or [tuple(box[a][1] - box[a][0] for a in "YX")]
    found = [open_image(path, series=n) for n in range(len(boxes))]
    assert [(one.sizes["Y"], one.sizes["X"]) for one in found] == boxes
    items = (metadata.get("Scaling") or {}).get("Items", {}).get("Distance", [])
    known = {item["@Id"]: 1e6 * float(item["Value"]) for item in items if float(item["Value"]) > 0}
    for axis in "ZYX":
        expected = known.get(axis) if axis in image.axes else None
        assert image.pixel_size.get(axis) == (expected and pytest.approx(expected))


def test_what_is_said_of_each(makers: Path) -> None:
    def image(name: str, **options: Any) -> Image:
        return open_image(makers / "czi" / f"{name}.czi", **options)

    lattice = image("LLS7_small")
    assert lattice.pixel_size["T"] == pytest.approx(90.038) and lattice.origin == {"Z": pytest.approx(55.654688)}
    assert [c.name for c in lattice.channels] == ["LatticeLightsheet 1-T1", "LatticeLightsheet 2-T2"]
    assert [c.color for c in lattice.channels] == ["FF00FF", "00FF00"]
    assert image("DAPI_GFP").pixel_size == {} and [c.name for c in image("DAPI_GFP").channels] == ["DAPI", "GFP"]
    well = image("WellD6_S1")
    assert well.series_names == ("D6",) and well.channels[0].color == "00FF33"
    # The centre of the scene is at 49500, 35500 µm on the stage.
    middle = {axis: well.origin[axis] + (well.sizes[axis] - 1) / 2 * well.pixel_size[axis] for axis in "YX"}
    assert middle == {"Y": pytest.approx(35500), "X": pytest.approx(49500)}
    scenes = [image("S3_1Pos_2Mosaic_T1_Z1_CH1", series=name) for name in ("TR1", "P1", "TR2")]
    assert scenes[0].series_names == ("TR1", "P1", "TR2") and scenes[0].series_count == 3
    # Where the scenes lie to each other on the stage is where their tiles lie in the file, to a pixel (of 1.6 µm).
    for axis, places in (("X", [145, 0, 293]), ("Y", [0, 213, 277])):
        for scene, place in zip(scenes, places, strict=True):
            apart = (scene.origin[axis] - scenes[1].origin[axis]) / 1.6
            assert apart == pytest.approx(place - places[1], abs=1)
    colored = image("RGB-multichannel")
    assert colored.axes == "YXS" and colored.series_names[:3] == ("Bright", "Pol_0", "Pol_15")


def test_a_level_beside_czifile(makers: Path) -> None:
    czifile = pytest.importorskip("czifile")
    path = makers / "czi" / "WellD6_S1.czi"
    with czifile.CziFile(str(path)) as other:
        entry = next(e for e in other.subblock_directory if e.shape != e.stored_shape)
        expected = entry.data_segment().data(resize=False).squeeze()
    image = open_image(path, level=1)
    np.testing.assert_array_equal(everything(image), expected)
    assert image.pixel_size == {"Y": 0.2, "X": 0.2}
    assert image.origin["X"] == pytest.approx(open_image(path).origin["X"] + 0.05)


@pytest.mark.parametrize("options", [None, "zstd0:ExplicitLevel=2", "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("samples", [1, 3])
def test_files_that_pylibczirw_writes(tmp_path: Path, options: str | None, dtype: str, samples: int) -> None:
    czi = pytest.importorskip("pylibCZIrw.czi")
    if dtype == "f4" and samples == 3:
        pytest.skip("pylibCZIrw cannot read it")
    rng = np.random.default_rng(0)
    path = tmp_path / "cells.czi"
    canvas = np.zeros((2, 2, 83, 87, samples), dtype)
    with czi.create_czi(str(path), compression_options=options) as file:
        for scene, z in np.ndindex(2, 2):
            for x, y in ((0, 0), (40, 3), (7, 33)):
                tile = (rng.random((50, 47, samples)) * 250).astype(dtype)
                file.write(tile, plane={"Z": z, "C": 0, "T": 0}, location=(x + 200 * scene, y - 5), scene=scene)
                canvas[scene, z, y : y + 50, x : x + 47] = tile
        file.write_metadata("cells", channel_names={0: "DAPI"}, scale_x=2e-7, scale_y=3e-7, scale_z=1.5e-6)
    for scene in range(2):
        image = open_image(path, series=scene)
        expected = canvas[scene][..., ::-1] if samples == 3 else canvas[scene][..., 0]
        np.testing.assert_array_equal(everything(image), expected)
        assert image.pixel_size == {"X": 0.2, "Y": 0.3, "Z": 1.5} and image.channels[0].name == "DAPI"


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("color", [False, True])
def test_pylibczirw_reads_the_files_of_our_tests_alike(tmp_path: Path, dtype: str, color: bool) -> None:
    czi, imagecodecs = pytest.importorskip("pylibCZIrw.czi"), pytest.importorskip("imagecodecs")
    rng = np.random.default_rng(0)
    blocks = []
    for number, compression in enumerate((0, 4, 5)):
        pixels = rng.integers(0, 255, (40, 50, 3) if color else (40, 50)).astype(dtype)
        bgr = np.ascontiguousarray(pixels[..., ::-1]) if color else pixels
        jpegxr = imagecodecs.jpegxr_encode(pixels, level=1.0)
        # ZEN calls 24 bits of colour BGR, which ends in 0C, and imagecodecs RGB.
        jpegxr = jpegxr.replace(bytes.fromhex("b1853d77768dc90d"), bytes.fromhex("b1853d77768dc90c"))
        data = {0: None, 4: jpegxr, 5: imagecodecs.zstd_encode(bgr.tobytes())}
        at = {"C": 0, "T": 0, "Z": number, "M": 0}
        blocks.append(Block(bgr, 3, 8, at, compression=compression, data=data[compression]))
    path = write_czi(tmp_path / "a.czi", blocks, czi_xml({"X": 1e-7}))
    image = open_image(path)
    with czi.open_czi(str(path)) as other:
        for where, plane in planes_of(other, image, 0):
            np.testing.assert_array_equal(everything(image)[where], plane)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from tiff_files import micro_manager

from napari_restore.images.opening import open_image

SHARED = next((folder / "shared" for folder in Path(__file__).parents if (folder / "shared/makers").is_dir()), None)
PLAIN = {"photometric": "minisblack", "metadata": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image.tif"


def lsm(path: Path, **told: float) -> None:
    """Write a file of Zeiss: a tag with a structure of its own, planes and their thumbnails in turn."""
    fields = [(n, f if f[0].isdigit() else f"<{f}") for n, f in tifffile.TIFF.CZ_LSMINFO if n != "DimensionsReserved"]
    info = np.zeros((), np.dtype(fields))
    sizes = {"DimensionX": 30, "DimensionY": 20, "DimensionZ": 3, "DimensionChannels": 3, "DimensionTime": 1}
    for name, value in {"MagicNumber": 0x0400494C, "StructureSize": 500, **sizes, **told}.items():
        info[name] = value
    raw = info.tobytes().ljust(500, b"\0")
    with tifffile.TiffWriter(path, byteorder="<") as tiff:
        for z in range(3):
            tags = [(34412, 1, len(raw), raw, True)] if z == 0 else []
            pixels = np.zeros((3, 20, 30), np.uint16)
            tiff.write(pixels, planarconfig="separate", subfiletype=0, extratags=tags, **PLAIN)
            thumbnail = np.zeros((3, 8, 8), np.uint8)
            tiff.write(thumbnail, photometric="rgb", planarconfig="separate", subfiletype=1, metadata=None)


def test_lsm(tmp_path: Path) -> None:
    path = tmp_path / "a.lsm"
    lsm(path, VoxelSizeX=9e-8, VoxelSizeY=8e-8, VoxelSizeZ=4.4e-7, TimeIntervall=0)
    image = open_image(path)
    assert image.axes == "ZCYX" and image.pixel_size == pytest.approx({"Z": 0.44, "Y": 0.08, "X": 0.09})
    assert set(image.units.values()) == {"micrometer"} and not image.notes


@pytest.mark.parametrize(
    ("description", "size"),
    [("|AppMag = 20|MPP = 0.4990|Left = 1", 0.499), ("|MPP=0.25", 0.25), ("|AppMag = 20", None), ("|MPP = 0", None)],
)
def test_aperio(tmp_path: Path, description: str, size: float | None) -> None:
    text = f"Aperio Image Library v12.0.15 \r\n30x20 [0,0 30x20] (240x240) JPEG/RGB Q=70{description}"
    pixels = np.zeros((20, 30, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.svs", pixels, photometric="rgb", tile=(16, 16), description=text, metadata=None)
    assert open_image(tmp_path / "a.svs").pixel_size == ({"Y": size, "X": size} if size else {})


def test_akoya(tmp_path: Path) -> None:
    xml = (
        '<?xml version="1.0" encoding="utf-16"?><PerkinElmer-QPI-ImageDescription><ImageType>FullResolution</ImageType>'
        "<Name>{}</Name></PerkinElmer-QPI-ImageDescription>"
    )
    with tifffile.TiffWriter(tmp_path / "a.qptiff", bigtiff=True) as tiff:
        for name in ("DAPI", "Opal 520"):
            options = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER", "software": "PerkinElmer-QPI"}
            tiff.write(np.zeros((32, 32), np.uint8), tile=(16, 16), description=xml.format(name), **options, **PLAIN)
    image = open_image(tmp_path / "a.qptiff")
    assert image.pixel_size == {"Y": 0.5, "X": 0.5} and [c.name for c in image.channels] == ["DAPI", "Opal 520"]


def test_scanimage(path: Path) -> None:
    told = (
        "SI.VERSION_MAJOR = 2016\nSI.hStackManager.stackZStepSize = -2.5\n"
        "SI.hRoiManager.imagingFovUm = [-10 -5;10 -5;10 5;-10 5]\n"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for _ in range(3):
            tiff.write(np.zeros((20, 40), np.int16), software=told, **PLAIN)
    image = open_image(path, axes="ZYX")
    assert image.pixel_size == {"Z": -2.5, "Y": 0.5, "X": 0.5} and set(image.units.values()) == {"micrometer"}


def test_micro_manager(path: Path) -> None:
    planes = {(c, z, 0, 0): np.zeros((20, 30), np.uint16) for z in range(3) for c in range(2)}
    told: dict[str, Any] = {"PixelSize_um": 0.325, "z-step_um": 0.0, "Interval_ms": 0, "ChNames": ["DAPI", "GFP"]}
    micro_manager(path, planes, Slices=3, Channels=2, **told)
    image = open_image(path)
    assert image.pixel_size == {"Y": 0.325, "X": 0.325} and [c.name for c in image.channels] == ["DAPI", "GFP"]


def test_the_json_of_tifffile(path: Path) -> None:
    metadata = {"axes": "ZYX", "spacing": 0.5, "unit": "um"}
    pixels = np.zeros((4, 20, 30), np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack", resolution=(10, 5), metadata=metadata)
    image = open_image(path)
    assert image.pixel_size == {"Z": 0.5, "Y": 0.2, "X": 0.1} and set(image.units.values()) == {"micrometer"}


@pytest.mark.parametrize(
    ("per", "unit", "size"),
    [(1e4, "centimeter", 1.0), (25400, "inch", 1.0), (2.0, "micrometer", 0.5), (72, "inch", None), (300, "inch", None),
     (118.11, "centimeter", None), (1200, "inch", None), (5, "none", None), (0, "centimeter", None)],
)  # fmt: skip
def test_resolution_tags_that_are_those_of_a_camera(path: Path, per: float, unit: str, size: float | None) -> None:
    tifffile.imwrite(path, np.zeros((20, 30), np.uint16), resolution=(per, per), resolutionunit=unit, **PLAIN)
    image = open_image(path)
    assert image.pixel_size == (pytest.approx({"Y": size, "X": size}) if size else {})
    assert bool(image.notes) == bool(size)


@pytest.mark.skipif(SHARED is None, reason="needs files of makers, which may not be published")
def test_a_file_that_metamorph_wrote() -> None:
    assert SHARED is not None
    image = open_image(SHARED / "makers/tiff/MetamorphImage.tif")
    assert image.pixel_size == {"Y": 0.645, "X": 0.645} and set(image.units.values()) == {"micrometer"}
    assert [channel.name for channel in image.channels] == ["Cy5"]


def test_the_pixel_size_of_a_geotiff(tmp_path: Path) -> None:
    tags = [(33550, 12, 3, (0.5, 0.25, 0.0), True), (33922, 12, 6, (0, 0, 0, 100.0, 200.0, 0), True)]
    tags.append((34735, 3, 4, (1, 1, 0, 0), True))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((48, 64), np.uint16), photometric="minisblack", extratags=tags)
    image = open_image(tmp_path / "a.tif")
    assert image.pixel_size == {"Y": -0.25, "X": 0.5} and image.units == {}
    assert "coordinate system of the GeoTIFF" in image.notes[0]

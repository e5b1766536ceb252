"""Odd TIFFs: what is restored with another meaning, or left out, is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_restore.errors import SourceError
from napari_restore.images.opening import open_image

PLANE = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" Type="uint16" DimensionOrder="XYCZT" SizeX="64" SizeY="48" SizeC="{c}" SizeZ="1" '
    'SizeT="{t}"><TiffData/></Pixels></Image>{more}</OME>'
)
MODULO = (
    '<StructuredAnnotations><XMLAnnotation ID="A:0"><Value><Modulo><ModuloAlongT Type="lifetime" Unit="ps" Start="0" '
    'End="2" Step="1"/></Modulo></Value></XMLAnnotation></StructuredAnnotations>'
)


def ome(path: Path, planes: int, **filled: object) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for number in range(planes):
            text = OME.format(**filled) if not number else None
            tiff.write(PLANE + number, description=text, metadata=None, photometric="minisblack")
    return path


def notes(path: Path) -> str:
    return " ".join(open_image(path).notes)


def test_a_palette_and_white_zeros(tmp_path: Path) -> None:
    small, table = PLANE.astype(np.uint8), np.zeros((3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", small, photometric="palette", colormap=table)
    tifffile.imwrite(tmp_path / "w.tif", small, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "b.tif", small, photometric="minisblack")
    assert "numbers of colours in a table" in notes(tmp_path / "p.tif")
    assert "0 is white" in notes(tmp_path / "w.tif") and not notes(tmp_path / "b.tif")


def test_pages_that_the_ome_xml_does_not_place(tmp_path: Path) -> None:
    assert "has 3 pages, and its OME-XML places 2" in notes(ome(tmp_path / "a.ome.tif", 3, c=2, t=1, more=""))
    assert not notes(ome(tmp_path / "b.ome.tif", 3, c=3, t=1, more=""))
    pyramid = tmp_path / "c.ome.tif"
    with tifffile.TiffWriter(pyramid) as tiff:  # levels in SubIFDs are no pages
        tiff.write(PLANE, subifds=1, metadata={"axes": "YX"}, photometric="minisblack")
        tiff.write(PLANE[::2, ::2], subfiletype=1, photometric="minisblack")
    assert not notes(pyramid)


def test_a_divided_axis(tmp_path: Path) -> None:
    assert "T also counts lifetime" in notes(ome(tmp_path / "m.ome.tif", 6, c=1, t=6, more=MODULO))


def test_a_codec_that_is_not_here_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANE, compression="zlib", tile=(16, 16), photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags["Compression"].overwrite(34676)
    with pytest.raises(SourceError, match="compression 34676, which is not supported"):
        open_image(path)


@pytest.mark.parametrize("size", ["0,25", "NaN", "-1e400", ""])
def test_sizes_that_are_no_numbers(tmp_path: Path, size: str) -> None:
    text = OME.format(c=1, t=1, more="").replace('SizeC="1"', f'SizeC="1" PhysicalSizeX="{size}"')
    tifffile.imwrite(tmp_path / "a.ome.tif", PLANE, description=text, metadata=None, photometric="minisblack")
    image = open_image(tmp_path / "a.ome.tif")
    assert image.pixel_size == {} and any(f"pixel size {size} along X" in note for note in image.notes)


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_orientation_is_said_and_the_pixels_stay(tmp_path: Path, turn: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANE, metadata=None, photometric="minisblack", extratags=[(274, 3, 1, turn, True)])
    image = open_image(path)
    assert bool(image.notes) == (turn != 1) and all("is to be shown" in note for note in image.notes)
    np.testing.assert_array_equal(image.read((slice(None),) * 2), PLANE)


@pytest.mark.parametrize(
    ("samples", "settings", "told"),
    [
        (4, {"photometric": "rgb", "extrasamples": [2]}, "last one of 4 samples of each pixel is no colour but transp"),
        (
            5,
            {"photometric": "rgb", "extrasamples": [0, 0]},
            "last 2 of 5 samples of each pixel are no colour but other",
        ),
        (4, {"photometric": "separated"}, "cyan, magenta, yellow and black"),
        (3, {"photometric": "cielab"}, "CIE L*a*b*"),
        (3, {"photometric": "ycbcr"}, "luma and chroma"),
        (1, {"photometric": "cfa"}, "mosaic of a colour camera"),
        (1, {"photometric": "mask"}, "is a mask"),
        (3, {"photometric": "rgb"}, ""),
        (3, {"photometric": "rgb", "compression": "jpeg"}, ""),
    ],
)
def test_what_the_samples_are(tmp_path: Path, samples: int, settings: dict[str, Any], told: str) -> None:
    pixels = np.repeat(PLANE[..., None].astype(np.uint8), samples, axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", pixels if samples > 1 else pixels[..., 0], metadata=None, **settings)
    assert told in notes(tmp_path / "a.tif") and bool(notes(tmp_path / "a.tif")) == bool(told)

"""Odd TIFFs: what is restored with another meaning, or left out, is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_restore.errors import ChunkError
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
    with pytest.raises(ChunkError, match=r"cannot be read: .*not supported"):
        open_image(path).read((slice(0, 9), slice(0, 9)))


@pytest.mark.parametrize("size", ["0,25", "NaN", "-1e400", ""])
def test_sizes_that_are_no_numbers(tmp_path: Path, size: str) -> None:
    text = OME.format(c=1, t=1, more="").replace('SizeC="1"', f'SizeC="1" PhysicalSizeX="{size}"')
    tifffile.imwrite(tmp_path / "a.ome.tif", PLANE, description=text, metadata=None, photometric="minisblack")
    image = open_image(tmp_path / "a.ome.tif")
    assert image.pixel_size == {} and any(f"pixel size {size} along X" in note for note in image.notes)

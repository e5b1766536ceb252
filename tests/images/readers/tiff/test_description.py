"""OME-XML that is written in another encoding, is damaged, or lacks what OME requires."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_restore.errors import AxesError
from napari_restore.images.opening import open_image

PLANES = np.arange(3 * 48 * 64, dtype=np.uint16).reshape(3, 48, 64)
XML = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image '
    'ID="Image:0" Name="a"><Pixels ID="Pixels:0" Type="uint16" DimensionOrder="XYZCT" SizeX="64" SizeY="48" SizeC="1" '
    'SizeZ="3" SizeT="1" PhysicalSizeX="0.2" PhysicalSizeY="0.2"><TiffData/></Pixels></Image></OME>'
)


def write(path: Path, xml: str | bytes, count: int = 3) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for number, plane in enumerate(PLANES[:count]):
            text = (xml if isinstance(xml, bytes) else xml.encode()) if not number else None
            tiff.write(plane, description=text, metadata=None, photometric="minisblack")
    return path


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_each_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    xml = XML.replace("UTF-8", {"utf-16": "UTF-16", "latin-1": "ISO-8859-1"}.get(encoding, "UTF-8"))
    xml = xml.replace('PhysicalSizeX="0.2"', 'PhysicalSizeX="0.2" PhysicalSizeXUnit="µm"')
    image = open_image(write(tmp_path / "a.ome.tif", xml.encode(encoding)))
    assert image.axes == "ZYX" and image.pixel_size == {"Y": 0.2, "X": 0.2} and image.units["X"] == "micrometer"
    np.testing.assert_array_equal(image.read((slice(None),) * 3), PLANES)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_companion_in_each_encoding(tmp_path: Path, encoding: str) -> None:
    pointer = XML.partition("<Image")[0] + '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:1"/></OME>'
    write(tmp_path / "a.ome.tif", pointer)
    named = XML.replace(
        "<TiffData/>", '<TiffData PlaneCount="3"><UUID FileName="a.ome.tif">urn:uuid:0</UUID></TiffData>'
    )
    named = named.replace("UTF-8", "ISO-8859-1" if encoding == "latin-1" else encoding.upper()).replace('"a"', '"µ"')
    (tmp_path / "a.companion.ome").write_bytes(named.encode(encoding))
    for name in ("a.ome.tif", "a.companion.ome"):
        image = open_image(tmp_path / name)
        assert image.sizes == {"Z": 3, "Y": 48, "X": 64} and image.pixel_size["X"] == 0.2


@pytest.mark.parametrize("name", ["a & b", "a\x01b", "&nothing"])
def test_characters_that_xml_does_not_allow_are_said_and_cost_nothing(tmp_path: Path, name: str) -> None:
    image = open_image(write(tmp_path / "a.ome.tif", XML.replace('Name="a"', f'Name="{name}"')))
    assert image.sizes["Z"] == 3 and image.pixel_size["X"] == 0.2 and "XML does not allow" in image.notes[0]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('SizeZ="3" ', "", "no SizeZ"),
        ('SizeX="64" ', "", "no SizeX"),
        ('DimensionOrder="XYZCT" ', "", "no DimensionOrder"),
        ("XYZCT", "YXZCT", "dimension order is 'YXZCT'"),
        ("XYZCT", "xyzct", "dimension order is 'xyzct'"),
        ('SizeC="1"', 'SizeC="0"', "SizeC is '0'"),
        ('SizeC="1"', 'SizeC="one"', "SizeC is 'one'"),
        ("</Pixels>", "", "no valid XML"),
    ],
)
def test_what_cannot_be_used_is_said_and_the_pixels_open(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = write(tmp_path / "a.ome.tif", XML.replace(old, new))
    with pytest.raises(AxesError, match=told):  # nothing else says what the three pages are
        open_image(path)
    image = open_image(path, axes="ZYX")
    assert told in image.notes[0] and image.pixel_size == {}
    np.testing.assert_array_equal(image.read((slice(None),) * 3), PLANES)
    one = open_image(write(tmp_path / "b.ome.tif", XML.replace(old, new), 1))
    assert one.axes == "YX" and told in one.notes[0]

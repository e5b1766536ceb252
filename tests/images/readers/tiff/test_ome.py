from napari_restore.images.readers.tiff.metadata import TiffMetadata
from napari_restore.images.readers.tiff.ome import ome_metadata

XML = '<OME xmlns="http://x"><Image><Pixels SizeX="5" SizeY="4" {}/></Image></OME>'


def test_ome_units_default_to_micrometer_and_second():
    found = ome_metadata(XML.format('PhysicalSizeX="0.5" TimeIncrement="2"'), 0, 4, 5)
    assert found == TiffMetadata({"X": 0.5, "T": 2.0}, {"X": "micrometer", "T": "second"})


def test_ome_sizes_that_are_no_sizes_are_left_out_and_said():
    found = ome_metadata(XML.format('PhysicalSizeX="0" PhysicalSizeY="nan" PhysicalSizeZ="-1"'), 0, 4, 5)
    assert found.pixel_size == {"Z": -1.0} and found.units == {"Z": "micrometer"}
    assert [note.partition(",")[0] for note in found.notes] == [
        "The source gives the pixel size 0 along X",
        "The source gives the pixel size nan along Y",
    ]


def test_ome_unit_pixel_is_no_unit():
    found = ome_metadata(XML.format('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"'), 0, 4, 5)
    assert found == TiffMetadata({"X": 1.0}, {})


def test_ome_of_another_image_or_broken_is_not_used():
    xml = XML.format('PhysicalSizeX="0.5"')
    assert ome_metadata(xml, 1, 4, 5) == ome_metadata(xml, 0, 5, 5) == ome_metadata("<OME", 0, 4, 5) == TiffMetadata()

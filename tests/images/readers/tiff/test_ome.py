import pytest

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
    assert ome_metadata("<OME", 0, 4, 5) == TiffMetadata()
    for found in (ome_metadata(xml, 1, 4, 5), ome_metadata(xml, 0, 5, 5), ome_metadata(xml, 0, 4, 5, "another")):
        assert not found.pixel_size and "describes no image" in found.notes[0]


IMAGE = '<Image Name="{}"><Pixels SizeX="5" SizeY="4" PhysicalSizeX="{}">{}</Pixels></Image>'


@pytest.mark.parametrize(
    ("images", "index", "name", "size"),
    [
        ([("a", 9.9, ""), ("b", 0.1, "<TiffData/>")], 0, "b", 0.1),
        ([("", 9.9, ""), ("", 0.1, "<TiffData/>"), ("", 9.9, ""), ("", 0.2, "<TiffData/>")], 1, "", 0.2),
        # Its planes are not there, so that it is none of the series; its name still tells which one the other is.
        ([("a", 9.9, "<TiffData/>"), ("b", 0.1, "<TiffData/>")], 0, "b", 0.1),
        ([("a", 0.1, ""), ("b", 9.9, "")], 0, "a", 0.1),
    ],
)
def test_an_ome_image_without_planes_is_none_of_the_series(images, index, name, size):
    xml = '<OME xmlns="http://x">{}</OME>'.format("".join(IMAGE.format(*image) for image in images))
    assert ome_metadata(xml, index, 4, 5, name).pixel_size == {"X": size}


def planes(key, *values, axis="Z"):
    inside = "".join(
        f'<Plane TheT="0" TheC="0" TheZ="0" The{axis}="{n}" {key}="{v}" {key}Unit="nm"/>' for n, v in values
    )
    inside = inside.replace(f'The{axis}="0" The{axis}', f"The{axis}")
    return f'<OME xmlns="http://x"><Image><Pixels SizeX="5" SizeY="4">{inside}</Pixels></Image></OME>'


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([(0, 5.0), (1, 5.5), (2, 6.0)], 0.5),
        ([(2, 3.0), (0, 5.0), (1, 4.0)], -1.0),
        ([(0, 5.0), (2, 6.0)], None),
        ([(0, 5.0), (1, 5.0)], None),
        ([(0, 5.0), (1, 6.0), (2, 9.0)], None),
    ],
)
def test_the_step_of_slices_from_the_positions_of_planes(values, step):
    found = ome_metadata(planes("PositionZ", *values), 0, 4, 5)
    assert found.pixel_size.get("Z") == step and found.units.get("Z") == (step and "nanometer")
    assert bool(found.notes) == bool(step)

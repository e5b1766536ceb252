import os
import pickle

import numpy as np
import pytest
import tifffile
import zarr
from tiff_files import companion_ome, micro_manager

from napari_restore import api
from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.opening import open_image


def volume(*shape, dtype="u2"):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def multi_file_ome(folder):
    pixels = volume(2, 3, 20, 30)
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{n}" for n in range(2)]
    blocks = "".join(
        f'<TiffData IFD="0" FirstT="{n}" PlaneCount="3"><UUID FileName="part{n}.ome.tif">{u}</UUID></TiffData>'
        for n, u in enumerate(uuids)
    )
    for n, uuid in enumerate(uuids):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="30" SizeY="20" SizeZ="3" SizeC="1" '
            f'SizeT="2" PhysicalSizeX="0.3"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{blocks}</Pixels>'
            "</Image></OME>"
        )
        tifffile.imwrite(
            folder / f"part{n}.ome.tif", pixels[n], description=xml, metadata=None, photometric="minisblack"
        )
    return pixels


def test_ome_tiff_over_several_files(tmp_path):
    pixels = multi_file_ome(tmp_path)
    image = open_image(tmp_path / "part0.ome.tif")
    assert image.axes == "TZYX" and image.pixel_size == {"X": 0.3}
    np.testing.assert_array_equal(whole(image), pixels)
    np.testing.assert_array_equal(whole(pickle.loads(pickle.dumps(image))), pixels)


@pytest.mark.parametrize(
    ("gone", "there", "said"), [(1, slice(0, 1), "last 1 of 2 along T"), (0, slice(1, 2), "T 0, Z 0")]
)
def test_missing_file_of_an_ome_tiff_is_said_and_never_zeros(tmp_path, gone, there, said):
    pixels = multi_file_ome(tmp_path)
    (tmp_path / f"part{gone}.ome.tif").unlink()
    image = open_image(tmp_path / f"part{1 - gone}.ome.tif")
    assert len(image.notes) == 1 and said in image.notes[0]
    for one in (image, pickle.loads(pickle.dumps(image))):
        part = (there if gone == 0 else slice(0, 1), *(slice(None),) * 3)[: len(image.axes)]
        np.testing.assert_array_equal(one.read(part), pixels[there].reshape(one.read(part).shape))
        if gone == 0:
            with pytest.raises(ChunkError, match="is missing"):
                whole(one)


@pytest.mark.parametrize(
    "options", [{}, {"uuid": ""}, {"described": "part0.ome.tif"}, {"described": "part2.ome.tif"}],
    ids=["companion", "companion without UUID", "first file", "last file"],
)  # fmt: skip
def test_every_file_of_a_set_is_the_whole_image(tmp_path, options):
    pixels = companion_ome(tmp_path, **options)
    for file in sorted(tmp_path.iterdir()):
        image = open_image(file)
        assert image.axes == "TCYX" and image.pixel_size == {"X": 0.3} and not image.notes, file
        assert [channel.name for channel in image.channels] == ["a", "b"]
        np.testing.assert_array_equal(whole(pickle.loads(pickle.dumps(image))), pixels)


def test_a_description_that_is_not_there_is_said(tmp_path):
    pixels = companion_ome(tmp_path)
    (tmp_path / "all.companion.ome").unlink()
    image = open_image(tmp_path / "part1.ome.tif", axes="CYX")
    assert "all.companion.ome describes it, which does not exist" in image.notes[0]
    np.testing.assert_array_equal(whole(image), pixels[1])


def test_a_companion_without_its_files_is_refused(tmp_path):
    companion_ome(tmp_path)
    for number in range(3):
        (tmp_path / f"part{number}.ome.tif").unlink()
    with pytest.raises(SourceError, match=r"names 3 files .* none .* part0\.ome\.tif"):
        open_image(tmp_path / "all.companion.ome")


def test_each_position_of_a_data_set_is_an_image(tmp_path):
    pixels = volume(2, 3, 2, 20, 30)  # positions, times, channels
    for p in range(2):
        planes = {(c, 0, t, p): pixels[p, t, c] for t, c in np.ndindex(3, 2)}
        micro_manager(tmp_path / f"run_MMStack_Pos{p}.ome.tif", planes, Frames=3, Channels=2, Positions=2)
    for p in range(2):
        path = tmp_path / f"run_MMStack_Pos{p}.ome.tif"
        for series in range(2):
            # A batch opens the first image of each file: that is the one that the file holds.
            image = open_image(path, series=series)
            assert image.axes == "TCYX" and image.series_count == 2 and not image.notes
            assert image.name.endswith(f"position {p if series == 0 else 1 - p}")
            for one in (image, pickle.loads(pickle.dumps(image))):
                np.testing.assert_array_equal(whole(one), pixels[p if series == 0 else 1 - p])
                part = (slice(1, 3), slice(1, 2), slice(5, 9), slice(3, 20))
                np.testing.assert_array_equal(one.read(part), pixels[p if series == 0 else 1 - p][part])
        assert open_image(path, series=f"position {1 - p}").name == open_image(path, series=1).name
        # All axes may be named too: then the positions are one of them.
        np.testing.assert_array_equal(whole(open_image(path, axes="ZTCYX")).transpose(2, 0, 1, 3, 4), pixels)


@pytest.mark.parametrize(
    ("planned", "name"),
    [({"Frames": 50}, "run_MMStack_Pos0.ome.tif"), ({"Positions": 3}, "run_MMStack_Pos0.ome.tif"),
     ({"Positions": 2, "Frames": 9}, "renamed.tif")],
)  # fmt: skip
def test_of_a_stopped_acquisition_there_is_what_was_taken(tmp_path, planned, name):
    pixels = volume(3, 2, 20, 30)
    planes = {(c, 0, t, 0): pixels[t, c] for t, c in np.ndindex(3, 2)}
    micro_manager(tmp_path / name, planes, **{"Frames": 3, "Channels": 2, **planned})
    image = open_image(tmp_path / name)
    assert "Micro-Manager planned" in image.notes[0]
    np.testing.assert_array_equal(whole(image), pixels)


def test_a_plane_that_was_not_taken_is_said_and_an_error_when_read(tmp_path):
    pixels = volume(3, 2, 20, 30)
    planes = {(c, 0, t, 0): pixels[t, c] for t, c in list(np.ndindex(3, 2))[:-1]}
    micro_manager(tmp_path / "run_MMStack_Pos0.ome.tif", planes, Frames=50, Channels=2)
    image = open_image(tmp_path / "run_MMStack_Pos0.ome.tif")
    assert image.sizes["T"] == 3 and "1 of 6 planes are missing, the first of them T 2, C 1" in image.notes[0]
    np.testing.assert_array_equal(image.read((slice(0, 2), *(slice(None),) * 3)), pixels[:2])
    with pytest.raises(ChunkError, match=r"index \(2, 1\), is missing"):
        whole(image)


def two_files(folder, name):
    """An OME-TIFF of two planes, the second in a file of that name as the OME-XML says it."""
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="30" SizeY="20" SizeZ="2" SizeC="1" '
        'SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" FirstZ="0" PlaneCount="1"/>'
        f'<TiffData IFD="0" FirstZ="1" PlaneCount="1"><UUID FileName="{name}">urn:uuid:1</UUID></TiffData>'
        "</Pixels></Image></OME>"
    )
    tifffile.imwrite(folder / "a.ome.tif", volume(20, 30), description=xml, metadata=None, photometric="minisblack")
    return folder / "a.ome.tif"


@pytest.mark.parametrize("by", ["absolute", "relative", "link"])
def test_an_ome_xml_that_names_a_file_elsewhere_is_refused_unless_it_is_allowed(tmp_path, by):
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    secret = tmp_path / "other/b.tif"
    own = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"/>'  # tifffile compares it
    tifffile.imwrite(secret, volume(20, 30) + 7, description=own, metadata=None, photometric="minisblack")
    (tmp_path / "mine/link.tif").symlink_to(secret)
    path = two_files(tmp_path / "mine", {"absolute": secret, "relative": "../other/b.tif", "link": "link.tif"}[by])
    with pytest.raises(SourceError, match=r"outside its folder .*allow_outside"):
        open_image(path)
    image = open_image(path, allow_outside=True)
    for one in (image, pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(whole(one)[1], volume(20, 30) + 7)


@pytest.mark.parametrize("name", ["/data/acquired/b.tif", r"C:\acquired\b.tif", "b.tif", "&#98;.tif"])
def test_a_name_from_where_the_set_was_made_is_looked_for_beside_the_file(tmp_path, name):
    path = two_files(tmp_path, name)
    tifffile.imwrite(tmp_path / "b.tif", volume(20, 30) + 7, photometric="minisblack")
    np.testing.assert_array_equal(whole(open_image(path))[1], volume(20, 30) + 7)


def test_an_ome_xml_that_names_a_pipe_or_a_device_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    for name in ("pipe.tif", "/dev/zero"):
        with pytest.raises(SourceError, match="no regular file"):
            open_image(two_files(tmp_path, name), allow_outside=True)


@pytest.mark.parametrize(
    "change",
    [
        ('SizeZ="2"', 'SizeZ="400000000"'),
        ('SizeT="1"', 'SizeT="99999999999999999999"'),
        ('FirstZ="0" PlaneCount="1"', 'FirstZ="0" PlaneCount="4000000000"'),
        (
            "</Image>",
            '</Image><StructuredAnnotations><XMLAnnotation ID="Annotation:0" Namespace="modulo"><Value><Modulo>'
            '<ModuloAlongZ Type="angle" Start="0" End="1e9" Step="1e-6"/></Modulo></Value></XMLAnnotation>'
            "</StructuredAnnotations>",
        ),
    ],
)
def test_a_small_file_that_describes_more_planes_than_any_image_has_is_refused(tmp_path, change):
    path = two_files(tmp_path, "b.tif")
    with tifffile.TiffFile(path) as tiff:
        xml = tiff.ome_metadata
    assert change[0] in xml
    tifffile.imwrite(path, volume(20, 30), description=xml.replace(*change), metadata=None, photometric="minisblack")
    with pytest.raises(SourceError, match="which no image has"):
        open_image(path)


@pytest.mark.parametrize("mark", ["too few pages", "a plane left out"])
def test_planes_that_one_file_lacks_are_said_and_filled(tmp_path, checkpoints, mark):
    pixels = volume(5, 20, 30)
    left_out = '<TiffData FirstZ="0" IFD="0" PlaneCount="2"/><TiffData FirstZ="3" IFD="2" PlaneCount="2"/>'
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYZCT" Type="uint16" SizeX="30" SizeY="20" SizeZ="5" SizeC="1" SizeT="1">'
        f"{'<TiffData/>' if mark == 'too few pages' else left_out}</Pixels></Image></OME>"
    )
    there = [0, 1, 2] if mark == "too few pages" else [0, 1, 3, 4]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tiff:
        for number in there:
            text = xml if number == 0 else None
            tiff.write(pixels[number], description=text, metadata=None, photometric="minisblack")
    image = open_image(tmp_path / "a.ome.tif")
    if mark == "too few pages":
        assert "The last 2 of 5 along Z are missing" in image.notes[0]
        np.testing.assert_array_equal(whole(image), pixels[:3])
        return
    assert image.sizes["Z"] == 5 and "1 of 5 planes are missing, the first of them Z 2" in image.notes[0]
    with pytest.raises(ChunkError, match="is missing"):
        image.read((slice(2, 3), slice(None), slice(None)))
    settings = {"model": checkpoints["local"], "tile": 48, "halo": 8, "value_range": (0, 70000)}
    api.denoise(tmp_path / "a.ome.tif", tmp_path / "out.zarr", on_error="fill", **settings)
    filled = api.verify(tmp_path / "out.zarr").filled
    assert filled and all("is missing" in reason for reasons in filled.values() for reason in reasons)
    stored = zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")[:]
    assert (stored[2] == 0).all() and all(stored[number].any() for number in there if number != 2)

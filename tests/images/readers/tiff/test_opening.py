import pickle

import numpy as np
import pytest
import tifffile
from tiff_kinds import KINDS, imagej, ome_plain, ome_tiled, volume, whole

from napari_restore.errors import AxesError, SourceError
from napari_restore.images.image import Channel
from napari_restore.images.opening import open_image


@pytest.mark.parametrize("write", KINDS)
def test_pixels_and_axes(path, write):
    pixels, axes, kind = write(path)
    image = open_image(path)
    assert image.axes == axes
    assert isinstance(image.data, kind)
    assert image.location == str(path) and image.name == "image.tif"
    expected = pixels.transpose([axes.index(a) for a in image.canonical])
    np.testing.assert_array_equal(whole(image), expected)
    assert image.dtype == pixels.dtype and image.dtype.isnative
    part = tuple(slice(n // 3, n // 3 + 1 + n // 8) for n in image.shape)
    np.testing.assert_array_equal(image.read(part), expected[part])
    assert all(0 < chunk <= n + 31 for chunk, n in zip(image.chunks, image.shape, strict=True))


def test_ome_scale_units_and_channels(path):
    ome_tiled(path)
    image = open_image(path)
    assert image.pixel_size == {"T": 2.5, "Z": 0.5, "Y": 110.0, "X": 0.1}
    assert image.units == {"T": "minute", "Z": "micrometer", "Y": "nanometer", "X": "micrometer"}
    assert image.channels == (Channel("DAPI", "FFFFFF"), Channel("GFP", "00FF00"), Channel("mCherry", "FF0000"))
    assert image.chunks == (1, 1, 1, 32, 32)


def test_imagej_scale_units_and_limits(path):
    imagej(path)
    image = open_image(path)
    assert image.canonical == "TCZYX"
    assert image.pixel_size == {"T": 3.0, "Z": 0.7, "Y": 0.2, "X": 0.1}
    assert image.units == {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
    assert image.channels == (Channel(window=(0.0, 9.0)),) * 4
    assert image.chunks == (1, 1, 1, 40, 50)


def test_name_of_the_only_channel_is_kept_without_c(path):
    tifffile.imwrite(path, volume(5, 6), ome=True, metadata={"axes": "YX", "Channel": {"Name": ["DAPI"]}})
    assert open_image(path).channels == (Channel("DAPI"),)


def test_resolution_in_dpi_is_not_a_pixel_size(path):
    tifffile.imwrite(path, volume(5, 6), resolution=(72, 72), resolutionunit="inch")
    assert open_image(path).pixel_size == {}


def test_levels_of_a_pyramid(path):
    pixels = volume(2, 101, 200)
    with tifffile.TiffWriter(path, ome=True) as tiff:
        metadata = {"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
        tiff.write(pixels, subifds=2, tile=(64, 64), metadata=metadata)
        tiff.write(pixels[:, ::2, ::2], subfiletype=1, tile=(64, 64))
        tiff.write(pixels[:, ::4, ::4], subfiletype=1, tile=(64, 64))
    image = open_image(path, level=2)
    np.testing.assert_array_equal(whole(image), pixels[:, ::4, ::4])
    assert image.pixel_size == {"Y": 1.0, "X": 2.0}
    assert image.origin == {"Y": 0.375, "X": 0.75}
    np.testing.assert_array_equal(whole(pickle.loads(pickle.dumps(image))), pixels[:, ::4, ::4])
    with pytest.raises(SourceError, match=r"level 3 .* it has 3"):
        open_image(path, level=3)


def ome_pyramid(path, compression, **options):
    pixels = volume(2, 70, 90, dtype="u1") if not options else volume(70, 90, 3, dtype="u1")
    halves = [pixels[:, ::n, ::n] if not options else pixels[::n, ::n] for n in (1, 2, 4)]
    with tifffile.TiffWriter(path, ome=True) as tiff:
        metadata = {"axes": "YXS" if options else "CYX"}
        tiff.write(halves[0], subifds=2, tile=(32, 32), compression=compression, metadata=metadata, **options)
        for half in halves[1:]:
            tiff.write(half, subfiletype=1, tile=(32, 32), compression=compression, **options)
    return halves


def pages_pyramid(path, compression, **options):
    """Write the levels as pages, one after the other, as libvips does; with a description as Aperio does."""
    pixels = volume(70, 90, 3, dtype="u1")
    halves = [np.ascontiguousarray(pixels[::n, ::n]) for n in (1, 2, 4)]
    with tifffile.TiffWriter(path) as tiff:
        for number, half in enumerate(halves):
            layout = {"tile": (32, 32), "photometric": "rgb", "compression": compression, "metadata": None}
            tiff.write(half, subfiletype=0 if "description" in options else min(number, 1), **layout, **options)
            if number == 0 and "description" in options:
                tiff.write(half[::8, ::8].copy(), photometric="rgb", metadata=None, **options)
    return halves


APERIO = "Aperio Image Library v12\r\n90x70 [0,0 90x70] (32x32) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990"


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("write", "options"),
    [
        (ome_pyramid, {}),
        (ome_pyramid, {"photometric": "rgb"}),
        (pages_pyramid, {}),
        (pages_pyramid, {"description": APERIO}),
    ],
    ids=["ome", "ome-rgb", "pages", "aperio"],
)
def test_every_level_of_a_tiled_pyramid(tmp_path, compression, write, options):
    path = tmp_path / f"image.{'svs' if 'description' in options else 'tif'}"
    for number, half in enumerate(write(path, compression, **options)):
        image = open_image(path, level=number)
        np.testing.assert_array_equal(whole(pickle.loads(pickle.dumps(image))), half)
        assert image.origin.get("X", 0.0) == pytest.approx(
            (2**number - 1) / 2 * image.pixel_size.get("X", 1) / 2**number
        )


def test_series_of_a_file(path):
    first, second = volume(3, 20, 30), volume(2, 40, 50)
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(first, metadata={"axes": "ZYX", "PhysicalSizeX": 1.5})
        tiff.write(second, metadata={"axes": "CYX", "PhysicalSizeX": 2.5, "Channel": {"Name": ["a", "b"]}})
    image = open_image(path, series=1)
    np.testing.assert_array_equal(whole(image), second)
    assert image.pixel_size == {"X": 2.5} and [c.name for c in image.channels] == ["a", "b"]
    assert open_image(path).pixel_size == {"X": 1.5}
    with pytest.raises(SourceError, match=r"series 2 .* it has 2"):
        open_image(path, series=2)


def test_axes_unknown_to_the_file_are_asked_for(path):
    pixels = volume(4, 20, 30)
    with tifffile.TiffWriter(path) as tiff:
        for plane in pixels:
            tiff.write(plane, metadata=None, compression="zlib", contiguous=False)
    with pytest.raises(AxesError, match="pass axes="):
        open_image(path)
    image = open_image(path, axes="tyx")
    assert image.axes == "TYX"
    np.testing.assert_array_equal(whole(image), pixels)


def test_axes_of_the_user_win(path):
    ome_plain(path)
    image = open_image(path, axes="TYX")
    assert image.sizes == {"T": 3, "Y": 40, "X": 50} and image.pixel_size == {"X": 0.2}
    with pytest.raises(AxesError, match="4 letters"):
        open_image(path, axes="TZYX")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "empty"), (b"II*\0", "cannot be opened"), (b"II*\0" + b"\xff" * 50, "."), (b"hello world", "begin like")],
)
def test_what_is_no_tiff_is_refused(path, content, told):
    path.write_bytes(content)
    with pytest.raises(SourceError, match=told):
        open_image(path)


@pytest.mark.parametrize("dtype", ["c8", "?"])
def test_data_types_that_cannot_be_restored(path, dtype):
    tifffile.imwrite(path, np.zeros((4, 5), dtype))
    with pytest.raises(SourceError, match="data type"):
        open_image(path)

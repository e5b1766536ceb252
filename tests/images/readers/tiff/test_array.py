import pickle

import numpy as np
import pytest
import tifffile

from napari_restore.errors import SourceError
from napari_restore.images.opening import open_image


def volume(*shape, dtype="u2"):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def test_levels_of_a_pyramid(tmp_path):
    path = tmp_path / "image.tif"
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

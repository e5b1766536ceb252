"""TIFFs of every layout, as tifffile writes them: each function writes a file, and gives pixels, axes and array."""

import numpy as np
import tifffile

from napari_restore.images.lazy_arrays import RawArray
from napari_restore.images.readers.tiff.array import TiffArray


def volume(*shape, dtype="u2"):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def whole(image):
    return image.read((slice(None),) * len(image.axes))


# Each writes a file and returns the pixels, the axes expected and the kind of array expected.


def ome_tiled(path):
    pixels = volume(2, 3, 4, 70, 90)
    channels = {"Name": ["DAPI", "GFP", "mCherry"], "Color": [-1, 0x00FF00FF, -16776961]}
    metadata = {
        "axes": "TCZYX",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 110,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 0.5,
        "TimeIncrement": 2.5,
        "TimeIncrementUnit": "min",
        "Channel": channels,
    }
    tifffile.imwrite(path, pixels, ome=True, tile=(32, 32), compression="zlib", metadata=metadata)
    return pixels, "TCZYX", TiffArray


def ome_plain(path):
    pixels = volume(3, 40, 50)
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.2})
    return pixels, "ZYX", RawArray


def imagej(path):
    pixels = volume(2, 3, 4, 40, 50)
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        resolution=(10, 5),
        metadata={"axes": "TZCYX", "spacing": 0.7, "unit": "um", "finterval": 3.0, "Ranges": (0.0, 9.0) * 4},
    )
    return pixels, "TZCYX", RawArray


def bigtiff(path):
    pixels = volume(3, 40, 50, dtype="f4")
    tifffile.imwrite(path, pixels, bigtiff=True, photometric="minisblack", metadata={"axes": "ZYX"})
    return pixels, "ZYX", RawArray


def rgb(path):
    pixels = volume(40, 50, 3, dtype="u1")
    tifffile.imwrite(path, pixels, photometric="rgb", compression="zlib", rowsperstrip=7)
    return pixels, "YXS", TiffArray


def rgb_planar(path):
    pixels = volume(3, 40, 50, dtype="u1")
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig="separate")
    return pixels, "SYX", RawArray


def big_endian(path):
    pixels = volume(3, 40, 50, dtype="i4")
    tifffile.imwrite(path, pixels, byteorder=">", photometric="minisblack", metadata={"axes": "ZYX"})
    return pixels, "ZYX", RawArray


def big_endian_compressed(path):
    pixels = volume(3, 40, 50, dtype="f8")
    more = {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}
    tifffile.imwrite(path, pixels, byteorder=">", compression="zlib", **more)
    return pixels, "ZYX", TiffArray


def predicted(path):
    pixels = volume(40, 50)
    tifffile.imwrite(path, pixels, compression="lzw", predictor=True, tile=(16, 32))
    return pixels, "YX", TiffArray


def strips_of_one_row(path):
    pixels = volume(4, 40, 50)
    with tifffile.TiffWriter(path, byteorder=">") as tiff:
        for plane in pixels:
            xml = tifffile.OmeXml()
            xml.addimage("uint16", pixels.shape, (4, 1, 1, 40, 50, 1), axes="ZYX")
            tiff.write(plane, description=xml.tostring(), metadata=None, rowsperstrip=1, contiguous=False)
    return pixels, "ZYX", TiffArray


KINDS = [
    strips_of_one_row,
    ome_tiled,
    ome_plain,
    imagej,
    bigtiff,
    rgb,
    rgb_planar,
    big_endian,
    big_endian_compressed,
    predicted,
]

"""Identify a source by digests of a few small crops, independent of its path and name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from napari_restore.engine.planning.reading import with_retries
from napari_restore.engine.planning.sampling import ChunkReader, spread_regions
from napari_restore.errors import RestoreError
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region

__all__ = ["crop_digests", "differing_crops"]

CROPS = 8
"""Maximum number of crops: reading one may transfer a whole chunk from a remote source."""
SIDE = 128
"""Maximum height and width of a crop in pixels."""
_FAILURES = 2
"""Number of crops that cannot be read, after which no more are read: the source is damaged or not reachable."""


def crop_digests(image: Image) -> dict[str, str]:
    """Read crops that are spread over the image, and return the digest of each.

    Parameters
    ----------
    image : Image
        The source. Crops that cannot be read are left out.

    Returns
    -------
    dict of str to str
        First half of the SHA-256 of the pixels, in canonical order and little-endian, by region, such as
        ``"3:4,0:128,64:192"``.
    """
    source, found, failed = ChunkReader(with_retries(image, "raise", ())), dict[str, str](), 0
    rows, columns = (min(image.sizes[axis], SIDE) for axis in "YX")
    regions = {
        _name(region): region for region in spread_regions(image, "TCZ", CROPS, rows, columns)
    }  # without duplicates
    for name, region in regions.items():
        try:
            pixels = source.read(region)
        except RestoreError:
            failed += 1
            if failed == _FAILURES:
                break
            continue
        little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
        found[name] = hashlib.sha256(little.tobytes()).hexdigest()[:32]
    return found


def differing_crops(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return the regions whose digests differ between two sources of the same shape.

    Parameters
    ----------
    one, other : Mapping of str to str
        Results of `crop_digests`.

    Returns
    -------
    list of str
        Regions that could be read from both sources and differ.
    """
    return [region for region in one if region in other and one[region] != other[region]]


def _name(region: Region) -> str:
    return ",".join(f"{s.start}:{s.stop}" for s in region)

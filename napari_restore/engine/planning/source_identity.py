"""What a source is known by, wherever it lies and whatever it is called: digests of a few small crops of its pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from napari_restore.engine.planning.reading import patient
from napari_restore.engine.planning.sampling import ChunkReader, spread_regions
from napari_restore.errors import RestoreError
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region

__all__ = ["crop_digests", "differing_crops"]

CROPS = 8
"""Crops that are read at most: each may cost a whole chunk of a source far away."""
SIDE = 128
"""Their height and width in pixels, at most."""
_FAILURES = 2
"""Crops that cannot be read, after which no more are asked for: the source is damaged, or out of reach."""


def crop_digests(image: Image) -> dict[str, str]:
    """Read crops that are spread over planes, channels and the plane, and give the digest of each.

    Parameters
    ----------
    image
        The source. Crops of it that cannot be read are left out.

    Returns
    -------
    dict of str to str
        Half of the SHA-256 of the pixels, in canonical order and little-endian, by the region: ``"3:4,0:128,64:192"``.
    """
    source, found, failed = ChunkReader(patient(image, "raise", ())), dict[str, str](), 0
    rows, columns = (min(image.sizes[axis], SIDE) for axis in "YX")
    regions = {_name(region): region for region in spread_regions(image, "TCZ", CROPS, rows, columns)}  # each once
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
    """Name the regions that two sources of one shape do not have in common, of those that could be read of both."""
    return [region for region in one if region in other and one[region] != other[region]]


def _name(region: Region) -> str:
    return ",".join(f"{s.start}:{s.stop}" for s in region)

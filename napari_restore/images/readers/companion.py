"""Open companion files (``cells.companion.ome``), which describe an OME-TIFF whose planes are in other files."""

from __future__ import annotations

__all__ = ["ENDINGS", "open", "recognises"]

import os
from dataclasses import replace
from typing import Any

from napari_restore.errors import SourceError
from napari_restore.images.image import Image
from napari_restore.images.readers import tiff
from napari_restore.images.readers.reader import begins_with
from napari_restore.images.readers.tiff.file_set import description, files_of

ENDINGS = (".companion.ome",)


def recognises(source: Any) -> bool:
    """Check whether a source is a companion file, by its name and its first bytes."""
    return (
        isinstance(source, str)
        and source.lower().endswith(ENDINGS)
        and begins_with(source, b"<", b"\xef\xbb\xbf<", b"\xff\xfe<", b"\xfe\xff\0<")
    )


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open the image that a companion file describes, through the first of its TIFF files that exists.

    Parameters
    ----------
    source : str
        Absolute path of the companion file.
    axes, level, series
        As for a TIFF.

    Returns
    -------
    Image
        The image.

    Raises
    ------
    AxesError
        If `axes` does not fit.
    SourceError
        If none of the TIFF files exists, or they are damaged.
    """
    names = files_of(description(source), source)
    there = [name for name in names if os.path.isfile(name)]
    if not there:
        raise SourceError(
            f"{source} names {len(names)} files with the planes, but none of them is beside it; copy them there, for "
            f"example {os.path.basename(names[0])}."
            if names
            else f"{source} names no files with planes; export the image again."
        )
    image = tiff.open(there[0], axes=axes, level=level, series=series)
    return replace(
        image, name=image.name.replace(os.path.basename(there[0]), os.path.basename(source)), location=source
    )

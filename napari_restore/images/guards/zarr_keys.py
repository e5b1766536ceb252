"""Recognise the objects of a Zarr that are no chunks, by their keys."""

from __future__ import annotations

__all__ = ["MARKS", "METADATA", "is_metadata"]

MARKS = ("zarr.json", ".zgroup", ".zarray")
"""Objects that mark a place as a Zarr."""
METADATA = (*MARKS, ".zattrs", ".zmetadata")
"""Names of all objects with metadata, in Zarr 2 and 3."""


def is_metadata(key: str) -> bool:
    """Check whether an object has metadata, and not pixels.

    Parameters
    ----------
    key : str
        Key of the object in its store.
    """
    return key.rsplit("/", 1)[-1] in METADATA

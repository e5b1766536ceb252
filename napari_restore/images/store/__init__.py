"""Store images in a folder on a disk or under a prefix in an object store, through one interface.

Pixels and metadata are read through zarr, which supports both. This package adds what zarr has no public functions for:
list, read, write and delete single objects, create an image whole or not at all, and tell a Zarr from foreign files.
Only this package decides whether a location is a URL.
"""

from __future__ import annotations

from pathlib import Path

from napari_restore.images.store.folder import Folder
from napari_restore.images.store.place import Place, as_location, is_url
from napari_restore.images.store.prefix import Prefix, filesystem

__all__ = ["Folder", "Place", "Prefix", "as_location", "filesystem", "is_url", "place_of"]


def place_of(location: str | Path) -> Folder | Prefix:
    """Return the place at a path or URL.

    Parameters
    ----------
    location : str or Path
        Path or URL.

    Returns
    -------
    Folder or Prefix
        The place, which may not exist yet.
    """
    location = as_location(location)
    return Folder(location) if isinstance(location, Path) else Prefix(location)

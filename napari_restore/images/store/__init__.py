"""Where an image is stored: a folder on a disk, or a prefix in an object store; what differs between the two.

Pixels and metadata are read through zarr, which takes both. What zarr does not do, or not by public names, is here: to
list, read, write and delete single objects, to make an image all at once or not at all, and to tell a Zarr from the
only copy of a thesis. Whether a location is a URL is asked here alone.
"""

from __future__ import annotations

from pathlib import Path

from napari_restore.images.store.folder import Folder
from napari_restore.images.store.place import Place, as_location, is_url, without_file_scheme
from napari_restore.images.store.prefix import Prefix, filesystem

__all__ = ["Folder", "Place", "Prefix", "as_location", "filesystem", "is_url", "place_of", "without_file_scheme"]


def place_of(location: str | Path) -> Folder | Prefix:
    """Give the place at a path or URL."""
    location = without_file_scheme(location)
    return Prefix(str(location)) if is_url(location) else Folder(Path(location))

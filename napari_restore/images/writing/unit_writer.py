"""Write the write units of an image one by one, each whole and once."""

from __future__ import annotations

__all__ = ["UnitWriter", "encoded", "group_in"]

from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray
from zarr.abc.buffer import Buffer
from zarr.storage import MemoryStore, StorePath

from napari_restore.errors import OutputError, RestoreError
from napari_restore.images.staging import Stage
from napari_restore.images.store import Folder, place_of
from napari_restore.images.writing.digests import record_digest
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.ome_zarr import object_name, open_level, unit_region


class UnitWriter:
    """Writer of the write units of an image. It can be pickled, and opens each level once in a process.

    Several threads may write at once, and several processes with one writer each.

    Parameters
    ----------
    path : str or Path
        Directory or URL of an image made by `napari_restore.images.writing.ome_zarr.create`.
    stage : Stage, optional
        Stage through which an output on a disk is written.
    group : str
        Name of a group in the image whose write units are written instead; it is an image made by `create` too.
    """

    def __init__(self, path: str | Path, stage: Stage | None = None, group: str = "") -> None:
        self.place, self.stage, self._group = place_of(path), stage, group
        self._levels: dict[int, zarr.Array[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_levels": {}}

    def level(self, level: int) -> zarr.Array[Any]:
        """Return the array of a level, opened for writing.

        Parameters
        ----------
        level : int
            0 is the image itself.

        Returns
        -------
        zarr.Array
            The array of the level.

        Raises
        ------
        OutputError
            If the level does not exist.
        """
        if level not in self._levels:
            self._levels[level] = open_level(group_in(self.place.location, self._group), level, "r+")
        return self._levels[level]

    def write(self, unit: WriteUnit, pixels: NDArray[Any]) -> None:
        """Write a write unit.

        Parameters
        ----------
        unit : WriteUnit
            The write unit.
        pixels : numpy.ndarray
            All its pixels (clipped at the end of the array), in stored order and of the data type of the array.

        Raises
        ------
        OutputTaken
            If the stage was removed.
        OutputError
            If the pixels have another shape or data type than the write unit, or it cannot be stored.
        """
        array = self.level(unit.level)
        expected = tuple(s.stop - s.start for s in unit_region(array, unit))
        if pixels.shape != expected or pixels.dtype != array.dtype:
            raise OutputError(
                f"an array {pixels.shape} of {pixels.dtype} is not {unit} of {self.place.location}, which is "
                f"{expected} of {array.dtype}."
            )
        try:
            name, content = self._name(unit), encoded(array, unit, pixels)
            if self.stage is not None and isinstance(self.place, Folder):
                record_digest(self.stage, self.place.path, name, content)
            # Not by array[region]: zarr reads a shard before it writes it, which fails for a damaged shard.
            self.place.put(name, content, self.stage)
        except (MemoryError, RestoreError):
            raise
        except Exception as error:  # each file system of fsspec has its own errors
            raise OutputError(
                f"{unit} of {self.place.location} cannot be written: {error}; "
                "free space or restore the access, and run again: stored write units are kept."
            ) from error

    def stores(self, unit: WriteUnit) -> bool:
        """Check whether a write unit is stored.

        Parameters
        ----------
        unit : WriteUnit
            The write unit.

        Returns
        -------
        bool
            False if its object is missing or empty.
        """
        return self.place.stores(self._name(unit))

    def delete(self, unit: WriteUnit) -> None:
        """Delete a write unit, if it is stored.

        Parameters
        ----------
        unit : WriteUnit
            The write unit.
        """
        self.place.remove(self._name(unit), self.stage)

    def _name(self, unit: WriteUnit) -> str:
        prefix = f"{self._group}/" if self._group else ""
        # Storing would create the folder again, without its metadata.
        if self.place.lacks_folder(f"{prefix}{unit.level}"):
            raise FileNotFoundError(
                f"level {unit.level} of {self.place.location} does not exist any more; was it deleted or moved?"
            )
        return prefix + object_name(self.level(unit.level), unit)


def group_in(location: Path | str, name: str) -> Path | str:
    """Return the path or URL of a group in an image; that of the image for an empty name.

    Parameters
    ----------
    location : Path or str
        Path or URL of the image.
    name : str
        Name of the group.
    """
    if not name:
        return location
    return location / name if isinstance(location, Path) else f"{location.rstrip('/')}/{name}"


def encoded(array: zarr.Array[Any], unit: WriteUnit, pixels: NDArray[Any]) -> Any:
    """Encode a write unit to the bytes that zarr would store.

    Parameters
    ----------
    array : zarr.Array
        Array of the write unit, with ``write_empty_chunks``. It is not changed.
    unit : WriteUnit
        The write unit.
    pixels : numpy.ndarray
        All its pixels, in stored order and of the data type of the array.

    Returns
    -------
    buffer
        The bytes.
    """
    objects: dict[str, Buffer] = {}
    own = array.async_array
    alone = zarr.Array(zarr.AsyncArray(own.metadata, StorePath(MemoryStore(objects), ""), own.config))
    alone[unit_region(array, unit)] = pixels
    return objects[array.metadata.encode_chunk_key(unit.index)].as_buffer_like()

"""Read a TIFF through tifffile's Zarr store, with an error, and not zeros, for a strip or tile that is not stored."""

from __future__ import annotations

__all__ = ["StoredChunks"]

from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import ByteRequest, Store
from zarr.storage import WrapperStore

from napari_restore.errors import ChunkError
from napari_restore.images.guards.zarr_keys import is_metadata
from napari_restore.ways_out import FILL


class StoredChunks(WrapperStore[Store]):
    """A wrapper of the Zarr store of tifffile.

    Parameters
    ----------
    store : zarr.abc.store.Store
        Store that `tifffile.TiffPageSeries.aszarr` returns.
    """

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read metadata, or decode a strip or tile."""
        found = await self._store.get(key, prototype, byte_range)
        if found is None and not is_metadata(key):
            raise ChunkError(
                "the strip or tile is not stored, its place in the file is empty. Copy the file again. If it is left "
                "out on purpose (GDAL's SPARSE_OK), 'gdal_translate IN.tif OUT.tif' writes it, and 'gdal_edit.py "
                "-a_nodata 0 IN.tif' says what it stands for",
                FILL.after("or "),
            )
        return found

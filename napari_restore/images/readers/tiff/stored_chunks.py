"""Read a TIFF through tifffile's Zarr store, with an error, and not zeros, for a strip or tile that is not stored."""

from __future__ import annotations

__all__ = ["StoredChunks"]

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from napari_restore.errors import ChunkError
from napari_restore.images.readers.reader import WAY_ON

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


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
        if found is None and key.rsplit("/", 1)[-1] not in _METADATA:
            raise ChunkError(
                f"the strip or tile is not stored, its place in the file is empty. Copy the file again. {WAY_ON} If it "
                "is left out on purpose (GDAL's SPARSE_OK), 'gdal_translate IN.tif OUT.tif' writes it, and "
                "'gdal_edit.py -a_nodata 0 IN.tif' says what it stands for."
            )
        return found

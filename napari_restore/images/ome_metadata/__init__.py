"""Make, convert and check the metadata of OME-Zarr groups."""

from napari_restore.images.ome_metadata.attributes import (
    COLLECTION,
    collection_attributes,
    collection_members,
    converted,
    ome_attributes,
    ome_part,
)

__all__ = [
    "COLLECTION",
    "collection_attributes",
    "collection_members",
    "converted",
    "ome_attributes",
    "ome_part",
]

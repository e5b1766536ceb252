"""Read the metadata of OME-Zarr, all versions, and check the stored objects of its arrays."""

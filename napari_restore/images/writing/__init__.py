"""What makes an OME-Zarr, object by object."""

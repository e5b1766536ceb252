"""Write an OME-Zarr, object by object."""

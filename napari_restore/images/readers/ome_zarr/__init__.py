"""What the metadata of OME-Zarr say of an image, in all their versions, and Zarrs in a file."""

"""The one loop: an image is cut into tiles, restored, blended and written, block by block."""

"""Open TIFF files: plain, OME, ImageJ, BigTIFF, pyramids, and images in several files."""

from napari_restore.images.readers.tiff.opening import ENDINGS, open, open_array, recognises

__all__ = ["ENDINGS", "open", "open_array", "recognises"]

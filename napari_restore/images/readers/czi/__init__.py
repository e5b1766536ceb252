"""CZI files of ZEISS, read straight from the file: any region costs no more than the sub-blocks that it touches."""

from napari_restore.images.readers.czi.reader import ENDINGS, open, recognises

__all__ = ["ENDINGS", "open", "recognises"]

"""Say where the numbers or planes of a TIFF mean something else than this package takes them for."""

from __future__ import annotations

__all__ = ["notes_on_meaning"]

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tifffile

_WHITE_IS_ZERO, _RGB, _PALETTE, _MASK, _CFA = 0, 2, 3, 4, 32803
_COLOURS = {5: "cyan, magenta, yellow and black", 6: "luma and chroma (YCbCr)", 8: "CIE L*a*b*", 9: "ICC L*a*b*",
            10: "ITU L*a*b*", 32844: "CIE Log2(L)", 32845: "CIE Log2(L) and (u', v')"}  # fmt: skip
"""Values of the TIFF tag PhotometricInterpretation, and of them the colour spaces other than RGB."""
_DECODED_TO_RGB = (6, 7)
"""Compressions, by JPEG, of which YCbCr is decoded to RGB."""
_ORIENTATION = 274
_TURNS = {2: "mirrored from left to right", 3: "turned by 180 degrees", 4: "mirrored from top to bottom",
          5: "with rows and columns exchanged", 6: "turned by 90 degrees to the right",
          7: "turned by 90 degrees and mirrored", 8: "turned by 90 degrees to the left"}  # fmt: skip
"""How an image with a value of the TIFF tag Orientation is shown, for the values other than 1."""


def notes_on_meaning(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> tuple[str, ...]:
    """Return a sentence for each thing in a TIFF that is restored and has another meaning than usual, or is left out.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    series : tifffile.TiffPageSeries
        The series, at its largest level.

    Returns
    -------
    tuple of str
        Notes for `napari_restore.images.image.Image`.
    """
    notes = []
    page: tifffile.TiffPage = series.keyframe
    photometric = int(page.photometric)
    turn = _TURNS.get(int(page.tags.valueof(_ORIENTATION, 1)))
    if turn:
        notes.append(
            f"The file says that its image is to be shown {turn}; the pixels are restored in their stored order, and "
            "the result does not say so."
        )
    if photometric in _COLOURS and not (photometric == 6 and page.compression in _DECODED_TO_RGB):
        notes.append(f"The values are {_COLOURS[photometric]}; they are restored as they are stored, like intensities.")
    if photometric == _CFA:
        notes.append(
            "The pixels are a mosaic of a colour camera, whose neighbours have different filters; a network takes "
            "their difference for noise. Convert the file to RGB first."
        )
    if photometric == _MASK:
        notes.append("The file is a mask; its values are restored as gray values.")
    extra = len(page.extrasamples) if "S" in series.axes else 0
    if extra:
        notes.append(
            f"The last {extra if extra > 1 else 'one'} of {page.samplesperpixel} samples of each pixel "
            f"{'are' if extra > 1 else 'is'} no colour but {_extras(page)}; restored like the colours."
        )
    if photometric == _PALETTE:
        notes.append(
            "The pixels are numbers of colours in a table; they are restored as gray values, which is right only for a "
            "false-colour image."
        )
    if photometric == _WHITE_IS_ZERO:
        notes.append("0 is white in this file; the values are restored as they are stored.")
    if not tiff.is_ome:
        return tuple(notes)
    divided = re.findall(r"<(?:\w+:)?ModuloAlong([CZT])\b[^>]*?\bType\s*=\s*[\"']([^\"']*)", tiff.ome_metadata or "")
    notes += [
        f"The axis {axis} also counts {kind or 'another dimension'} (ModuloAlong{axis}); this division is left out."
        for axis, kind in divided
    ]
    pages, placed = len(tiff.pages), sum(len(one) for one in tiff.series)
    if pages > placed and tiff.ome_metadata and "FileName" not in tiff.ome_metadata:
        notes.append(f"The file has {pages} pages, and its OME-XML places {placed} of them; the others are left out.")
    return tuple(notes)


def _extras(page: tifffile.TiffPage) -> str:
    """Name the samples that are no colour: transparency or other data."""
    named = {0: "other data", 1: "transparency", 2: "transparency"}
    return " and ".join(dict.fromkeys(named.get(int(kind), "other data") for kind in page.extrasamples))

"""Say where the numbers or planes of a TIFF mean something else than this package takes them for."""

from __future__ import annotations

__all__ = ["notes_on_meaning"]

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tifffile

_WHITE_IS_ZERO, _PALETTE = 0, 3
"""Values of the TIFF tag PhotometricInterpretation."""


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
    photometric = int(series.keyframe.photometric)
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

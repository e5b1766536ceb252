"""Read an assessment that is stored beside a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_restore.assessment.maps import ASSESSMENT, REPORT
from napari_restore.assessment.page import Assessment, assessment_page
from napari_restore.images.store import as_location, place_of

__all__ = ["read_assessment"]


def read_assessment(result: str | Path) -> Assessment | None:
    """Read the assessment of a stored result.

    Parameters
    ----------
    result : str or Path
        Path or URL of an OME-Zarr that this package wrote.

    Returns
    -------
    Assessment or None
        None if the result has not been assessed, or by a version whose report cannot be read.
    """
    place = place_of(as_location(f"{str(result).rstrip('/')}/{ASSESSMENT}"))
    written = place.get(REPORT)
    if not written:
        return None
    try:
        content: dict[str, Any] = json.loads(written)
        return Assessment(content, assessment_page(content), str(place.location).rstrip("/"))
    except (ValueError, KeyError, TypeError, IndexError):
        return None

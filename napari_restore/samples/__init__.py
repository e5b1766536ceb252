"""Bundled images: a real three-channel fluorescence image, as a camera records it and as it is."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

__all__ = ["sample_path"]


def sample_path(name: Literal["cells_noisy", "cells_clean"]) -> Path:
    """Path of a bundled OME-TIFF, CYX uint16: nuclei, actin and mitochondria of BPAE cells.

    Examples
    --------
    >>> sample_path("cells_noisy").name
    'cells_noisy.ome.tif'
    """
    return Path(str(resources.files(__name__))) / f"{name}.ome.tif"

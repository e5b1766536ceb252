"""Bundled images: a real three-channel fluorescence image, clean and with simulated camera noise."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

__all__ = ["sample_path"]


def sample_path(name: Literal["cells_noisy", "cells_clean"]) -> Path:
    """Return the path of a bundled OME-TIFF, CYX uint16: nuclei, actin and mitochondria of BPAE cells.

    Parameters
    ----------
    name : {"cells_noisy", "cells_clean"}
        Image with simulated camera noise, or without.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> sample_path("cells_noisy").name
    'cells_noisy.ome.tif'
    """
    return Path(str(resources.files(__name__))) / f"{name}.ome.tif"

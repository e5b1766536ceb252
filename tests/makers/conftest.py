"""Real files of the makers: the folder beside this one, or the one that NAPARI_RESTORE_SHARED names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SHARED = Path(os.environ.get("NAPARI_RESTORE_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.fixture(scope="session")
def makers() -> Path:
    folder = _SHARED / "makers"
    if not folder.is_dir():
        pytest.skip(f"the makers' files are not in {folder}; NAPARI_RESTORE_SHARED names another folder")
    return folder

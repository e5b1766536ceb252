from __future__ import annotations

import os

import pytest

os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"
pytest.importorskip("napari", reason="the widgets need the extra napari")

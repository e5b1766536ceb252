from __future__ import annotations

import importlib.util
import os

# napari raises where a plugin changes a layer from another thread than the main one.
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"

# The environment `napari` of tox has napari; the one of the library and the command line does without.
if importlib.util.find_spec("napari") is None:
    collect_ignore_glob = ["test_*.py"]

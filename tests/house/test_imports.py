from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

import napari_restore

GUI = {"napari", "magicgui", "superqt", "qtpy", "vispy", "PyQt5", "PyQt6", "PySide2", "PySide6"}

CHILD = """
import json, sys, time
import numpy
began = time.process_time()
import napari_restore.api
seconds = time.process_time() - began
print(json.dumps([seconds, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_the_api_loads_no_torch_and_no_qt_and_is_quick() -> None:
    seconds, loaded = min(_import_in_a_child() for _ in range(3))
    assert not {"torch", "pydantic", "zarr", "dask", "scipy", "skimage", "tifffile", *GUI} & set(loaded)
    assert seconds < 0.3


HELP = """
import sys
from napari_restore.cli import app
try:
    app(["--help"])
except SystemExit:
    print({"numpy", "pydantic", "torch", "zarr", "dask", "skimage", "rich.progress"} & set(sys.modules))
"""


def test_the_list_of_commands_loads_nothing_that_computes() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True, text=True)
    assert "denoise" in done.stdout and done.stdout.splitlines()[-1] == "set()"


def _import_in_a_child() -> tuple[float, list[str]]:
    """Seconds of the processor, which another program on the machine does not lengthen, and what is loaded then."""
    done = subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True, text=True)
    seconds, loaded = json.loads(done.stdout)
    return seconds, loaded


def test_a_recipe_loads_no_scipy() -> None:
    # The dock widgets have recipes when they are opened, on the main thread.
    code = "import sys, napari_restore.engine.planning.recipe; print({'scipy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_a_run_loads_no_compiler() -> None:
    """It takes seconds, and comes with Triton, which ends a process that already draws by software OpenGL."""
    if Version(metadata.version("torch")) < Version("2.8"):
        pytest.skip("einops imports the compiler of torch below 2.8")
    code = (
        "import sys, numpy as np; from napari_restore import api\n"
        "for name in ('restormer-denoise-light', 'swinir-denoise-light'):\n"
        "    image = np.full((64, 64), 9, np.uint16)\n"
        "    api.denoise(image, axes='YX', model=name, device='cpu', backend='eager', value_range=(0, 99))\n"
        "print({'torch._dynamo', 'triton'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_the_jobs_of_the_dock_widgets_load_no_window() -> None:
    """Nor napari, which a test of a controller would wait for."""
    code = (
        "import importlib, pkgutil, sys; import napari_restore.widgets.jobs as jobs\n"
        "for found in pkgutil.walk_packages(jobs.__path__, 'napari_restore.widgets.jobs.'):\n"
        "    importlib.import_module(found.name)\n"
        f"print({GUI!r} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


PACKAGE = Path(napari_restore.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "widgets")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_widgets_import_napari_or_qt(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module.partition(".")[0])
    assert not imported & GUI


_ONLY_PRIVATE = {("images/guards/zarr_objects.py", "zarr.core.sync")}
"""What has no public name: waiting for a coroutine on the event loop of zarr, which its object stores are bound to."""


def test_names_of_zarr_and_dask_are_public() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {
                (path.relative_to(PACKAGE).as_posix(), name)
                for name in names
                if name.startswith("zarr.core") or re.match(r"(zarr|dask|distributed)\.(.*\.)?_", name)
            }
    assert found == _ONLY_PRIVATE

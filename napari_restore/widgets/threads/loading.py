"""Import torch and other large libraries on a worker thread without blocking the window."""

from __future__ import annotations

__all__ = ["load_libraries"]

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_LIBRARIES = (
    "zarr",
    "torch",
    "scipy.ndimage",
    "dask.array",
    "napari_restore.engine.store.sinks",
    "napari_restore.engine.compute.estimate",
)
_loading = threading.Lock()


def load_libraries() -> None:
    """Import everything that a run needs. Later calls do nothing.

    Most of an import releases the interpreter lock every few milliseconds. Two things do not, and block the window for
    so long that it shows: the dynamic loader, which takes 0.2 s for torch's libraries, and full garbage collections.
    The hundreds of thousands of new objects trigger several of them, each over all objects of the process.
    """
    with _loading:
        if "napari_restore.engine.compute.estimate" in sys.modules and "torch" in sys.modules:
            return
        with _no_collections():
            _preload_torch()
            for name in _LIBRARIES:
                import_module(name)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Disable the garbage collector, and then count all objects as old: many young ones would trigger it at once."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # objects that other code has frozen stay frozen
            gc.freeze()
            gc.unfreeze()  # moves all objects to the oldest generation
        gc.enable()


def _preload_torch() -> None:
    """Load torch's own libraries by a foreign call, which releases the interpreter lock.

    They contain no Python code. If this fails, importing torch loads them. On Windows torch itself loads them this way.
    """
    spec = find_spec("torch")
    if "torch" in sys.modules or sys.platform == "win32" or spec is None or spec.origin is None:
        return
    suffix = "dylib" if sys.platform == "darwin" else "so"
    load = ctypes.CDLL(None).dlopen
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    load(os.fsencode(Path(spec.origin).parent / "lib" / f"libtorch.{suffix}"), os.RTLD_NOW | os.RTLD_LOCAL)

"""Importing torch and the other large libraries on a worker thread while the window stays alive."""

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
    """Import everything that a run needs; the second call and later ones do nothing.

    Most of an import lets other threads have the interpreter's lock every few milliseconds. Two things do not, and are
    what a window is seen to stand still for: the dynamic loader, which takes 0.2 s over torch's libraries, and full
    collections of the garbage collector, of which the hundreds of thousands of new objects cause several, each over
    all objects of the process.
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
    """Keep the garbage collector away, and what is made meanwhile from being young, which would set it off at once."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # what another part of the process has frozen stays so
            gc.freeze()
            gc.unfreeze()  # all that there is belongs to the oldest generation now
        gc.enable()


def _preload_torch() -> None:
    """Load torch's own libraries by a foreign call, which needs no lock of the interpreter.

    They hold no Python code. Where this fails, or on Windows, where torch does likewise, importing torch loads them.
    """
    spec = find_spec("torch")
    if "torch" in sys.modules or sys.platform == "win32" or spec is None or spec.origin is None:
        return
    suffix = "dylib" if sys.platform == "darwin" else "so"
    load = ctypes.CDLL(None).dlopen
    load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    load(os.fsencode(Path(spec.origin).parent / "lib" / f"libtorch.{suffix}"), os.RTLD_NOW | os.RTLD_LOCAL)

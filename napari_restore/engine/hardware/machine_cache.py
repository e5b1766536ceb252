"""What has been found out on this machine, and is kept for the next start: in the user's cache, file by file.

Environment
-----------
``NAPARI_RESTORE_CACHE``
    Folder that it is kept in; by default the user's cache. All of it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["cache_folder", "key_digest", "networks_digest", "processor"]


def cache_folder(name: str) -> Path:
    """Folder of the cache for one kind of thing; it need not be there."""
    chosen = os.environ.get("NAPARI_RESTORE_CACHE")
    if chosen:
        return Path(chosen).expanduser() / name
    import pooch

    return Path(pooch.os_cache("napari-restore")) / name


def key_digest(key: Mapping[str, Any]) -> str:
    """SHA-256 of JSON-like content, independent of the order of keys."""
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()


@cache
def processor() -> str:
    """Name of the processor, with the vector extensions that torch uses on it."""
    import torch

    return f"{_processor_name()}, {torch.backends.cpu.get_cpu_capability()}"


def _processor_name() -> str:
    """Name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        return platform.processor() or platform.machine()
    told = dict(line.replace("\t", "").split(":", 1) for line in reversed(lines) if ":" in line)
    named = " ".join(told[name].strip() for name in ("model name", "cpu family", "model", "stepping") if name in told)
    return named or platform.machine()


@cache
def networks_digest() -> str:
    """SHA-256 of the source of our networks: what was made of them is made anew when they have changed."""
    from napari_restore import networks

    folder, found = Path(next(iter(networks.__path__))), hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()

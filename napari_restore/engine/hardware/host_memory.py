"""Measure the memory that is available to this process, within the limits of a job or a container.

Dask's `distributed.system.MEMORY_LIMIT` reads the limit of a container, but not that of a SLURM job, which is deeper in
the tree of control groups.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["available_memory", "return_free_memory"]

_MOUNT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_FILES = {
    "v1": (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
    "v2": (("memory.max", "memory.high"), "memory.current", "inactive_file"),
}
"""For each version of control groups: files of limits, file of the memory in use, and name of its reclaimable part."""


def available_memory() -> int:
    """Return how many bytes this process may still allocate: free memory, within all limits of its control groups."""
    import psutil

    return min([int(psutil.virtual_memory().available), *_free_in_groups()])


def _free_in_groups() -> Iterator[int]:
    """Yield the bytes that each control group of this process has left; nothing on systems without control groups."""
    with suppress(OSError):
        for line in _OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            version = "v1" if controllers else "v2"
            mount = _MOUNT / "memory" if controllers else _MOUNT
            own = Path(path.lstrip("/"))
            # A container may see its own group as the root, whatever the path of the group is on the host.
            for group in (own, *own.parents):
                yield from _free_in_group(mount / group, version)


def _free_in_group(group: Path, version: str) -> Iterator[int]:
    """Yield the bytes that one control group has left for each limit; nothing if it has no limit or is not visible."""
    limits, taken, reclaimable = _FILES[version]
    with suppress(OSError, ValueError, KeyError):
        counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / taken).read_text()) - int(counts[reclaimable])
        for name in limits:
            with suppress(OSError, ValueError):  # "max" means no limit
                yield max(0, int((group / name).read_text()) - used)


def return_free_memory() -> None:
    """Return memory to the system that was freed and is kept by the C library, if it is glibc.

    Of arrays of a few megabytes, as those of a sample, it keeps all that lies below one that is still used.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows
        return
    trim(0)

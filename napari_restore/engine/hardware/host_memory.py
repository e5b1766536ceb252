"""How much memory this machine has left for this process: less than is free where a job or a container has a limit.

Dask's `distributed.system.MEMORY_LIMIT` reads the limit of a container, but not that of a SLURM job, which is further
down in the tree of control groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["available_memory"]

_MOUNT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_FILES = {
    "v1": (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
    "v2": (("memory.max", "memory.high"), "memory.current", "inactive_file"),
}
"""Of each version of control groups: files of limits, the file of what is taken, and what of that can be given back."""


def available_memory() -> int:
    """Bytes of memory that this process may still take: what is free, and within every limit that it is under."""
    import psutil

    return min([int(psutil.virtual_memory().available), *_rooms()])


def _rooms() -> Iterator[int]:
    """Give what each control group around this process leaves to it; none on systems that have no such groups."""
    with suppress(OSError):
        for line in _OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            version = "v1" if controllers else "v2"
            mount = _MOUNT / "memory" if controllers else _MOUNT
            own = Path(path.lstrip("/"))
            # A container may see its own group as the root, whatever its path is outside.
            for group in (own, *own.parents):
                yield from _room(mount / group, version)


def _room(group: Path, version: str) -> Iterator[int]:
    """Give what one group may still take; nothing if it has no limit, or is not to be seen."""
    limits, taken, reclaimable = _FILES[version]
    with suppress(OSError, ValueError, KeyError):
        counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / taken).read_text()) - int(counts[reclaimable])
        for name in limits:
            with suppress(OSError, ValueError):  # "max" is no limit
                yield max(0, int((group / name).read_text()) - used)

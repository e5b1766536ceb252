"""One run on one output: a lock with an owner and a heartbeat, that can be taken over and never fooled.

The lock of ``OUT.zarr`` is the directory ``.OUT.zarr.lock`` beside it. In it lies one directory, named by the run's
token, with ``owner.json``, whose modification time is the heartbeat, and all that the run is about to store (see
`napari_restore.images.staging`). A lock is taken by renaming a directory that is ready to its place, which
works for one process only, and taken over by renaming the token's directory away: a run that wakes up later has lost
the way into the output together with its lock.
"""

from __future__ import annotations

import contextlib
import getpass
import glob
import itertools
import json
import logging
import os
import shutil
import socket
import threading
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import psutil

from napari_restore.errors import OutputError, OutputInUse
from napari_restore.files import OWNER, is_link, is_ours, remove_ours
from napari_restore.images.staging import Stage
from napari_restore.wording import human_duration

__all__ = ["LEASE", "OutputLock", "Owner", "gone", "lock_of", "read_owner", "replaced_place", "this_process"]

PERIOD = 5.0
"""Seconds between two heartbeats."""
LEASE = 12
"""Heartbeats that may fail to come before a lock counts as left behind."""

LONGEST = 600.0
"""Seconds between two heartbeats that are believed: a lock that says more would stay for good."""
TRIES = 100
"""How often a lock is tried that other runs give back and take between one look and the next."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """The run that holds a lock.

    Attributes
    ----------
    token
        Its name, which no other run has.
    host, pid, user
        Where it runs, and whose it is.
    since
        When it began, ISO 8601 with the offset of its time zone.
    machine, started
        Tell this boot of this machine, and the start of this process, from others of the same name and number.
    period
        Seconds between its heartbeats.
    """

    token: str
    host: str
    pid: int
    user: str
    since: str
    machine: str
    started: str
    period: float

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}, since {self.since}"


class OutputLock:
    """Holds the lock of an output from the moment it is made until `release`.

    Parameters
    ----------
    path
        The output, a path on a file system; it need not exist.
    fsync
        See `Stage`.

    Attributes
    ----------
    stage, guard
        What the run writes through, and what is asked whether it still may; it pickles, and workers elsewhere may use
        it while the lock is held here.

    Raises
    ------
    OutputInUse
        If another run holds it and is alive.
    OutputError
        If no lock can be made there.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self.path = path.resolve()
        self.owner = this_process()
        self._place = lock_of(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._acquire()
        except OSError as error:
            raise OutputError(
                f"{self.path.parent} cannot hold the lock of {self.path.name}: {error}; choose an output with write "
                "access to the folder around it."
            ) from error
        self.stage = self.guard = Stage(self._place / self.owner.token, fsync)
        self._released = threading.Event()
        threading.Thread(target=self._beat, name="output-lock", daemon=True).start()

    def _acquire(self) -> None:
        fresh = self.path.with_name(f".{self.path.name}.{self.owner.token}.lock")
        mark = fresh / self.owner.token / OWNER
        try:
            mark.parent.mkdir(parents=True)
            mark.write_text(json.dumps(asdict(self.owner)))
            for attempt in itertools.count(1):
                mark.touch()
                try:
                    os.rename(fresh, self._place)  # on POSIX the directory may be there and empty
                    break
                except OSError:
                    if attempt == TRIES or (self._place.exists() and not self._place.is_dir()):
                        raise
                self._clear(fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._sweep()

    def _sweep(self) -> None:
        """Delete what dead runs have left: the contents of the lock that was taken over, and locks half made."""
        own = self._place / self.owner.token
        for left in own.glob("*.stale"):
            self._rescue(left)
            shutil.rmtree(left, ignore_errors=True)
        for left in self.path.parent.glob(f"{glob.escape(f'.{self.path.name}.')}{'[0-9a-f]' * 32}.lock"):
            try:
                folder, owner = _held_by(left) or (left, None)
            except OutputError:  # it is called like ours, and is not
                continue
            if gone(owner, _silence(folder, own / OWNER)) is not None:
                remove_ours(folder)
                with contextlib.suppress(OSError):
                    left.rmdir()

    def _rescue(self, folder: Path) -> None:
        """Bring a result that was just being moved aside to its place: see `napari_restore.engine.store.replaced`."""
        for inner in folder.glob("*.stale"):
            self._rescue(inner)
        for found in folder.glob("*.replaced"):
            if not (found / self.path.name).is_dir():
                continue
            with contextlib.suppress(OSError):
                replaced_place(self.path).mkdir(exist_ok=True)
                os.rename(found, replaced_place(self.path) / found.name.removesuffix(".replaced"))

    def _clear(self, fresh: Path) -> None:
        """Move a lock away whose owner is gone, or raise if it is alive."""
        held = _held_by(self._place)
        if held is None:
            with contextlib.suppress(OSError):  # empty, or another run was faster
                self._place.rmdir()
            return
        folder, owner = held
        silent = _silence(folder, fresh / self.owner.token / OWNER)
        if (reason := gone(owner, silent)) is None:
            raise OutputInUse(
                f"{self.path} is being written by another run ({owner or 'owner unknown'}; last sign of life "
                f"{human_duration(max(silent, 0))} ago); wait for it, stop it, or choose another output."
            )
        with contextlib.suppress(FileNotFoundError):  # another run was faster
            os.rename(folder, fresh / self.owner.token / f"{folder.name}.stale")
            _log.warning("%s: took over the lock of a run that %s (%s)", self.path, reason, owner or "owner unknown")

    def _beat(self) -> None:
        mark = self.stage.folder / OWNER
        while not self._released.wait(self.owner.period):
            try:
                os.utime(mark)
            except FileNotFoundError:
                _log.error("%s: another run has taken over this output; this one will stop", self.path)
                return
            except OSError as error:
                _log.warning("%s: the heartbeat of the lock failed: %s", self.path, error)

    def release(self) -> None:
        """Let others write. May be called twice, and by a run that has lost its lock."""
        if os.getpid() != self.owner.pid:  # a child that was forked off does not own what it has inherited
            return
        self._released.set()
        self._rescue(self.stage.folder)
        shutil.rmtree(self.stage.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # gone, or another run's by now
            self._place.rmdir()


def lock_of(path: Path) -> Path:
    """Return where the lock of an output lies."""
    return path.with_name(f".{path.name}.lock")


def replaced_place(path: Path) -> Path:
    """Return where a result is kept until the one that replaces it is complete."""
    return path.with_name(f".{path.name}.replaced")


def _held_by(place: Path) -> tuple[Path, Owner | None] | None:
    """Return the token's directory of a lock, and its owner where that can be read.

    Raises
    ------
    OutputError
        If what is there is no lock of this package: it stays as it is.
    """
    if is_link(place):
        raise OutputError(f"{place} is a link, and no lock of this package; remove it, or choose another output.")
    try:
        entries = sorted(place.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if foreign := next((entry for entry in entries if not is_ours(entry)), None):
        raise OutputError(
            f"{place} stands in the place of the lock and holds {foreign.name!r}, which is not of this package; move "
            "it away, or choose another output."
        )
    if not entries:
        return None
    try:
        return entries[0], read_owner((entries[0] / OWNER).read_bytes())
    except OSError:
        return entries[0], None


def read_owner(content: bytes) -> Owner | None:
    """Read the file of a lock's owner; None for anything else, such as the empty file that a power cut can leave."""
    try:
        given = json.loads(content)
        owner = Owner(**given)
    except (ValueError, TypeError, RecursionError):
        return None
    kinds: dict[str, type | tuple[type, ...]] = {"pid": int, "period": (int, float)}
    fitting = all(isinstance(value, kinds.get(name, str)) for name, value in given.items())
    return owner if fitting and 0 < owner.pid < 2**32 and 0 < owner.period <= LONGEST else None


def _silence(folder: Path, now: Path) -> float:
    """Seconds since the last heartbeat, both times taken from the clock of the file system."""
    mark = folder / OWNER
    try:
        last = (mark if mark.exists() else folder).stat().st_mtime
    except FileNotFoundError:
        return 0.0  # given back just now
    return now.stat().st_mtime - last


def gone(owner: Owner | None, silent: float) -> str | None:
    """Say why the owner of a lock is taken for gone, or None if it may be alive."""
    if owner is not None and owner.machine == _machine() and _started(owner.pid) != owner.started:
        return "has ended without giving it back"
    if silent > LEASE * (owner.period if owner else PERIOD):
        return f"has given no sign of life for {human_duration(silent)}"
    return None


def this_process() -> Owner:
    """Describe this process as the owner of a new lock."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return Owner(
        token=uuid4().hex,
        host=socket.gethostname(),
        pid=os.getpid(),
        user=user,
        since=datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=_machine(),
        started=_started(os.getpid()),
        period=PERIOD,
    )


def _machine() -> str:
    """Name what process numbers are unique in: this boot of this machine, and this container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _started(pid: int) -> str:
    """Tell when a process began, "" if there is none: numbers of processes are used again."""
    try:
        # Behind the name in brackets: the state, and as the twentieth the start in ticks since boot, which no change of
        # the clock moves.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return ""

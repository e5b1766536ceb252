"""Lock an output, so that one run at a time writes to it. A lock has an owner and a heartbeat.

The lock of ``OUT.zarr`` is the directory ``.OUT.zarr.lock`` beside it. It holds one directory, named by the run's
token, with ``owner.json``, whose modification time is the heartbeat, and with everything that the run is about to store
(see `napari_restore.images.staging`). A run takes a lock by renaming a prepared directory to this name, which succeeds
for one process only. A run takes over a lock by renaming the token's directory. The former owner, if it is only
suspended, can then write nothing more, because its writes are renames out of that directory.
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
from napari_restore.files import OWNER, is_link, is_ours, remove_ours, rename
from napari_restore.images.staging import Stage
from napari_restore.wording import human_duration

__all__ = [
    "LEASE",
    "OutputLock",
    "Owner",
    "lock_of",
    "read_owner",
    "replaced_folder",
    "this_process",
    "why_abandoned",
]

PERIOD = 5.0
"""Seconds between two heartbeats."""
LEASE = 12
"""Number of missed heartbeats after which a lock counts as abandoned."""

LONGEST = 600.0
"""Longest heartbeat period, in seconds, that is accepted from an owner file; with a longer one a lock never expires."""
TRIES = 100
"""Attempts to take a lock that other runs release and take at the same time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """Description of the run that holds a lock.

    Attributes
    ----------
    token : str
        Unique name of the run.
    host : str
        Host name.
    pid : int
        Process number.
    user : str
        User name.
    since : str
        When the run started, ISO 8601 with the offset of the time zone.
    machine : str
        Identifies the boot of the machine, and the container, in which `pid` is unique.
    started : str
        Start of the process. It differs for a later process with the same number.
    period : float
        Seconds between heartbeats.
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
    """Lock of an output on a file system, held from its creation until `release`.

    Parameters
    ----------
    path : Path
        The output; it need not exist.
    fsync : bool
        See `Stage`.

    Attributes
    ----------
    stage, guard : Stage
        The run writes through `stage`, and calls ``guard.check()`` before it writes; they are one object. It can be
        pickled, so workers in other processes use it while the lock is held here.

    Raises
    ------
    OutputInUse
        If another run that is alive holds the lock.
    OutputError
        If the lock cannot be created.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self.path = path.resolve()
        self.owner = this_process()
        self._lock_path = lock_of(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._acquire()
        except OSError as error:
            in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
            cause = f"{error.filename} is a file" if in_the_way else error.strerror or error
            raise OutputError(
                f"{self.path.parent} cannot hold the lock of {self.path.name}: {cause}; choose an output in a folder "
                "with write access."
            ) from error
        self.stage = self.guard = Stage(self._lock_path / self.owner.token, fsync)
        self._released = threading.Event()
        threading.Thread(target=self._beat, name="output-lock", daemon=True).start()

    def _acquire(self) -> None:
        fresh = self.path.with_name(f".{self.path.name}.{self.owner.token}.lock")
        owner_file = fresh / self.owner.token / OWNER
        try:
            owner_file.parent.mkdir(parents=True)
            owner_file.write_text(json.dumps(asdict(self.owner)))
            for attempt in itertools.count(1):
                owner_file.touch()
                try:
                    rename(fresh, self._lock_path)  # POSIX allows an empty directory as the target
                    break
                except OSError:
                    if attempt == TRIES:
                        raise
                self._clear(fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._sweep()

    def _sweep(self) -> None:
        """Delete what dead runs have left: the contents of the lock that was taken over, and unfinished locks."""
        own = self._lock_path / self.owner.token
        for left in own.glob("*.stale"):
            self._rescue(left)
            shutil.rmtree(left, ignore_errors=True)
        for left in self.path.parent.glob(f"{glob.escape(f'.{self.path.name}.')}{'[0-9a-f]' * 32}.lock"):
            try:
                folder, owner = _held_by(left) or (left, None)
            except OutputError:  # it has the name of a lock, but this package did not make it
                continue
            if why_abandoned(owner, _seconds_silent(folder, own / OWNER)) is not None:
                remove_ours(folder)
                with contextlib.suppress(OSError):
                    left.rmdir()

    def _rescue(self, folder: Path) -> None:
        """Finish moving a result aside that an interrupted run began: see `napari_restore.engine.store.replaced`."""
        for inner in folder.glob("*.stale"):
            self._rescue(inner)
        for found in folder.glob("*.replaced"):
            if not (found / self.path.name).is_dir():
                continue
            with contextlib.suppress(OSError):
                replaced_folder(self.path).mkdir(exist_ok=True)
                rename(found, replaced_folder(self.path) / found.name.removesuffix(".replaced"))

    def _clear(self, fresh: Path) -> None:
        """Move an abandoned lock away, or raise if its owner is alive."""
        held = _held_by(self._lock_path)
        if held is None:
            with contextlib.suppress(OSError):  # another run has removed or taken it
                self._lock_path.rmdir()
            return
        folder, owner = held
        silent = _seconds_silent(folder, fresh / self.owner.token / OWNER)
        if (reason := why_abandoned(owner, silent)) is None:
            raise OutputInUse(
                f"{self.path} is being written by another run ({owner or 'owner unknown'}; last sign of life "
                f"{human_duration(max(silent, 0))} ago); wait for it, stop it, or choose another output."
            )
        with contextlib.suppress(FileNotFoundError):  # another run has moved it
            rename(folder, fresh / self.owner.token / f"{folder.name}.stale")
            _log.warning("%s: took over the lock of a run that %s (%s)", self.path, reason, owner or "owner unknown")

    def _beat(self) -> None:
        owner_file = self.stage.folder / OWNER
        while not self._released.wait(self.owner.period):
            try:
                os.utime(owner_file)
            except FileNotFoundError:
                _log.error("%s: another run has taken over this output; this run will stop", self.path)
                return
            except OSError as error:
                _log.warning("%s: the heartbeat of the lock failed: %s", self.path, error)

    def release(self) -> None:
        """Release the lock. It may be called twice, and by a run that has lost its lock."""
        if os.getpid() != self.owner.pid:  # a forked child does not own the lock that it inherited
            return
        self._released.set()
        self._rescue(self.stage.folder)
        shutil.rmtree(self.stage.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # it was removed, or another run has taken it
            self._lock_path.rmdir()


def lock_of(path: Path) -> Path:
    """Return the path of an output's lock."""
    return path.with_name(f".{path.name}.lock")


def replaced_folder(path: Path) -> Path:
    """Return the folder that keeps a replaced result until the new one is complete."""
    return path.with_name(f".{path.name}.replaced")


def _held_by(lock: Path) -> tuple[Path, Owner | None] | None:
    """Return the token's directory of a lock, and its owner if the owner file can be read.

    Raises
    ------
    OutputError
        If this package did not make what has the name of the lock. It is left as it is.
    """
    if is_link(lock):
        raise OutputError(f"{lock} is a link and not a lock of this package; remove it, or choose another output.")
    if lock.is_file():
        raise OutputError(f"{lock} is a file and not a lock of this package; move it away, or choose another output.")
    try:
        entries = sorted(lock.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if foreign := next((entry for entry in entries if not is_ours(entry)), None):
        raise OutputError(
            f"{lock} has the name of the lock and holds {foreign.name!r}, which this package did not make; move it "
            "away, or choose another output."
        )
    if not entries:
        return None
    try:
        return entries[0], read_owner((entries[0] / OWNER).read_bytes())
    except OSError:
        return entries[0], None


def read_owner(content: bytes) -> Owner | None:
    """Read an owner file. Return None for other content, such as the empty file that a power cut can leave."""
    try:
        given = json.loads(content)
        owner = Owner(**given)
    except (ValueError, TypeError, RecursionError):
        return None
    kinds: dict[str, type | tuple[type, ...]] = {"pid": int, "period": (int, float)}
    fitting = all(isinstance(value, kinds.get(name, str)) for name, value in given.items())
    return owner if fitting and 0 < owner.pid < 2**32 and 0 < owner.period <= LONGEST else None


def _seconds_silent(folder: Path, now: Path) -> float:
    """Return the seconds since the last heartbeat, by the clock of the file system."""
    try:
        try:
            with (folder / OWNER).open("rb") as file:  # opening makes a network file system ask for the present time
                last = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            last = folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # it was released a moment ago
    return now.stat().st_mtime - last


def why_abandoned(owner: Owner | None, silent: float) -> str | None:
    """Return why a lock counts as abandoned, or None if its owner may be alive."""
    if owner is not None and owner.machine == _machine() and _started(owner.pid) != owner.started:
        return "has ended without releasing it"
    if silent > LEASE * (owner.period if owner else PERIOD):
        return f"has given no sign of life for {human_duration(silent)}"
    return None


def this_process() -> Owner:
    """Describe this process as the owner of a new lock."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user of a container may have a number and no name
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
    """Return a name of this boot of this machine and of this container, in which process numbers are unique."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _started(pid: int) -> str:
    """Return when a process started, or "" if there is no such process. Process numbers are used again."""
    try:
        # After the name in brackets, the first field is the state, and the 20th is the start in ticks since boot, which
        # does not depend on the clock.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return ""

"""Lock an output in an object store. The lock is weaker than on a disk, because object stores have no rename.

The lock of ``s3://bucket/OUT.zarr`` is the object ``s3://bucket/OUT.zarr.lock``. The heartbeat writes it again. Before
each block, a run checks that it still holds the lock. A run that is suspended after this check for longer than the
lease can still store this one block.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from napari_restore.engine.store.lock import Owner, read_owner, this_process, why_abandoned
from napari_restore.errors import OutputError, OutputInUse, OutputTaken
from napari_restore.images.store import filesystem
from napari_restore.wording import human_duration

__all__ = ["Claim", "ObjectLock"]

SETTLE = 1.0
"""Seconds between writing a lock that may have overwritten another one, and reading it back."""
_LAST_BEAT = 20.0
"""Seconds to wait for a heartbeat in progress before the lock is released."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """Check, in any process, that a run still holds the lock of an output. It can be pickled.

    Attributes
    ----------
    url : str
        URL of the lock's object.
    token : str
        Token of the run.
    """

    url: str
    token: str

    def check(self) -> None:
        """Check that the run still holds the lock.

        Raises
        ------
        OutputTaken
            If another run has taken the lock over, or the lock was removed.
        """
        files, path = filesystem(self.url)
        owner = _owner(files, path)
        if owner is None or owner.token != self.token:
            raise OutputTaken(
                f"another run has taken over this output ({owner or self.url + ' is gone'}). This run stops and writes "
                "nothing more; what is stored belongs to the other run."
            )


class ObjectLock:
    """Lock of an output in an object store, held from its creation until `release`.

    Parameters
    ----------
    url : str
        URL of the output.

    Attributes
    ----------
    guard : Claim
        Its `check` is called before each write.

    Raises
    ------
    OutputInUse
        If another run that is alive holds the lock.
    OutputError
        If the lock cannot be written.
    """

    def __init__(self, url: str) -> None:
        self.owner = this_process()
        self.guard = Claim(f"{url.rstrip('/')}.lock", self.owner.token)
        self._files, self._path = filesystem(self.guard.url)
        try:
            self._acquire(url)
        except OutputError:
            raise
        except Exception as error:  # each object store raises errors of its own types
            raise OutputError(f"{url} cannot be locked: {error}; choose an output with write access.") from error
        self._released = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, name="output-lock", daemon=True)
        self._heartbeat.start()

    def _acquire(self, url: str) -> None:
        if not self._files.exists(self._path) and self._created():
            return
        owner = _owner(self._files, self._path)
        if owner is None and self._files.exists(self._path):
            raise OutputError(
                f"{self.guard.url} has the name of the lock and was not made by this package; move it away, or choose "
                "another output."
            )
        silent = self._seconds_silent()
        reason = why_abandoned(owner, silent)
        if reason is None:
            raise OutputInUse(
                f"{url} is being written by another run ({owner or 'owner unknown'}; last sign of life "
                f"{human_duration(max(silent, 0))} ago); wait for it, stop it, or choose another output."
            )
        self._write()
        time.sleep(SETTLE)
        self.guard.check()  # if several runs take over at once, the last one to write holds it
        _log.warning("%s: took over the lock of a run that %s (%s)", url, reason, owner or "owner unknown")

    def _content(self) -> bytes:
        return json.dumps(asdict(self.owner)).encode()

    def _write(self) -> None:
        self._files.pipe_file(self._path, self._content())

    def _created(self) -> bool:
        """Create the object if there is none, and return whether this run was the first to do so."""
        try:
            self._files.pipe_file(self._path, self._content(), mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError, NotImplementedError):  # the store, or its release, has no conditional writes
            self._write()
            time.sleep(SETTLE)
            owner = _owner(self._files, self._path)
            return owner is not None and owner.token == self.owner.token
        return True

    def _seconds_silent(self) -> float:
        """Return the seconds since the last heartbeat, by the clock of the store."""
        probe = f"{self._path}.{uuid4().hex}"
        self._files.pipe_file(probe, b"")
        try:
            since = self._files.modified(probe) - self._files.modified(self._path)
            return float(since.total_seconds())
        except FileNotFoundError:
            return 0.0  # it was released a moment ago
        finally:
            self._files.rm_file(probe)

    def _beat(self) -> None:
        while not self._released.wait(self.owner.period):
            try:
                self.guard.check()
                self._write()
            except OutputTaken as error:
                _log.error("%s", error)
                return
            except Exception as error:
                _log.warning("%s: the heartbeat failed: %s", self.guard.url, error)

    def release(self) -> None:
        """Release the lock. It may be called twice, and by a run that has lost its lock."""
        if self._released.is_set():
            return
        self._released.set()
        self._heartbeat.join(_LAST_BEAT)  # a heartbeat in progress would write the lock again
        try:
            self.guard.check()
            self._files.rm_file(self._path)
        except Exception as error:  # another run holds it, or it cannot be reached: another run will take it over
            _log.warning("the lock %s was not released: %s", self.guard.url, error)


def _owner(files: Any, path: str) -> Owner | None:
    try:
        return read_owner(files.cat_file(path))
    except FileNotFoundError:
        return None

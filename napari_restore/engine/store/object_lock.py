"""The lock of an output in an object store: weaker than on a disk, and as strong as such a store allows.

The lock of ``s3://bucket/OUT.zarr`` is the object ``s3://bucket/OUT.zarr.lock``; writing it anew is the heartbeat.
There is no rename, so a run asks before each block whether the lock is still its own. A run that stands still between
that question and the end of its upload, for longer than the lease, can still store that one block.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from napari_restore.engine.store.lock import Owner, gone, read_owner, this_process
from napari_restore.errors import OutputError, OutputInUse, OutputTaken
from napari_restore.images.store import filesystem
from napari_restore.wording import human_duration

__all__ = ["Claim", "ObjectLock"]

SETTLE = 1.0
"""Seconds to wait, after a lock was written where that may have overwritten another one, before it is looked at."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """Tells, in whatever process, whether a run still holds the lock of an output. It pickles.

    Attributes
    ----------
    url
        Of the lock's object.
    token
        Of the run.
    """

    url: str
    token: str

    def check(self) -> None:
        """Raise `OutputTaken` if the lock is another run's by now, or gone."""
        files, path = filesystem(self.url)
        owner = _owner(files, path)
        if owner is None or owner.token != self.token:
            raise OutputTaken(
                f"another run has taken over the output of this one ({owner or self.url + ' is gone'}); nothing more "
                "is written. What is there belongs to the other run."
            )


class ObjectLock:
    """Holds the lock of an output in an object store from the moment it is made until `release`.

    Parameters
    ----------
    url
        Of the output.

    Attributes
    ----------
    guard : Claim
        What is asked before each write.

    Raises
    ------
    OutputInUse
        If another run holds it and is alive.
    OutputError
        If no lock can be made there.
    """

    def __init__(self, url: str) -> None:
        self.owner = this_process()
        self.guard = Claim(f"{url.rstrip('/')}.lock", self.owner.token)
        self._files, self._path = filesystem(self.guard.url)
        try:
            self._acquire(url)
        except OutputError:
            raise
        except Exception as error:  # every object store has errors of its own
            raise OutputError(f"{url} cannot be locked: {error}; choose an output with write access.") from error
        self._released = threading.Event()
        threading.Thread(target=self._beat, name="output-lock", daemon=True).start()

    def _acquire(self, url: str) -> None:
        if not self._files.exists(self._path) and self._created():
            return
        owner = _owner(self._files, self._path)
        if owner is None and self._files.exists(self._path):
            raise OutputError(
                f"{self.guard.url} stands in the place of the lock and is not of this package; move it away, or choose "
                "another output."
            )
        silent = self._silence()
        reason = gone(owner, silent)
        if reason is None:
            raise OutputInUse(
                f"{url} is being written by another run ({owner or 'owner unknown'}; last sign of life "
                f"{human_duration(max(silent, 0))} ago); wait for it, stop it, or choose another output."
            )
        self._write()
        time.sleep(SETTLE)
        self.guard.check()  # of several that take over at once, the last one to write has it
        _log.warning("%s: took over the lock of a run that %s (%s)", url, reason, owner or "owner unknown")

    def _content(self) -> bytes:
        return json.dumps(asdict(self.owner)).encode()

    def _write(self) -> None:
        self._files.pipe_file(self._path, self._content())

    def _created(self) -> bool:
        """Make the object if there is none; False if another run was faster."""
        try:
            self._files.pipe_file(self._path, self._content(), mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError, NotImplementedError):  # a store, or a release, without conditional writes
            self._write()
            time.sleep(SETTLE)
            owner = _owner(self._files, self._path)
            return owner is not None and owner.token == self.owner.token
        return True

    def _silence(self) -> float:
        """Seconds since the last heartbeat, both times taken from the clock of the store."""
        probe = f"{self._path}.{uuid4().hex}"
        self._files.pipe_file(probe, b"")
        try:
            since = self._files.modified(probe) - self._files.modified(self._path)
            return float(since.total_seconds())
        except FileNotFoundError:
            return 0.0  # given back just now
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
        """Let others write. May be called twice, and by a run that has lost its lock."""
        if self._released.is_set():
            return
        self._released.set()
        try:
            self.guard.check()
            self._files.rm_file(self._path)
        except Exception as error:  # another run's by now, or out of reach: it will be taken over
            _log.warning("%s was not given back: %s", self.guard.url, error)


def _owner(files: Any, path: str) -> Owner | None:
    try:
        return read_owner(files.cat_file(path))
    except FileNotFoundError:
        return None

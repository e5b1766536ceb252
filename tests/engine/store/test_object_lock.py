from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import fsspec
import pytest

from napari_restore.engine.store import lock, object_lock
from napari_restore.engine.store.object_lock import ObjectLock
from napari_restore.errors import OutputError, OutputInUse, OutputTaken

URL = "memory://bucket/out.zarr"


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    monkeypatch.setattr(object_lock, "SETTLE", 0.01)
    files = fsspec.filesystem("memory")
    if files.exists("/bucket"):  # of another test
        files.rm("/bucket", recursive=True)
    files.makedirs("/bucket")
    yield files
    files.rm("/bucket", recursive=True)


def test_the_second_is_refused_until_the_first_has_ended(store: fsspec.AbstractFileSystem) -> None:
    held = ObjectLock(URL)
    with pytest.raises(OutputInUse, match="wait for it, stop it"):
        ObjectLock(URL)
    pickle.loads(pickle.dumps(held.guard)).check()
    held.release()
    held.release()
    assert store.ls("/bucket") == []
    ObjectLock(URL).release()


def test_who_gives_no_sign_of_life_is_taken_over_and_stops(store: fsspec.AbstractFileSystem) -> None:
    held = ObjectLock(URL)
    path = "/bucket/out.zarr.lock"
    content = json.loads(store.cat_file(path)) | {"machine": "another"}
    store.pipe_file(path, json.dumps(content).encode())
    with pytest.raises(OutputInUse):
        ObjectLock(URL)
    store.store[path].modified -= timedelta(seconds=2 * lock.LEASE * lock.PERIOD)
    second = ObjectLock(URL)
    with pytest.raises(OutputTaken, match="another run has taken over"):
        held.guard.check()
    held.release()
    second.guard.check()
    second.release()


def test_its_heart_beats(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PERIOD", 0.02)
    held = ObjectLock(URL)
    first = store.modified("/bucket/out.zarr.lock")
    for _ in range(500):
        if store.modified("/bucket/out.zarr.lock") > first:
            break
        held._released.wait(0.01)
    assert store.modified("/bucket/out.zarr.lock") > first
    held.release()


def test_an_object_of_the_users_in_its_place_stays(store: fsspec.AbstractFileSystem) -> None:
    for content in (b"my notes", b"{}", b"[1]"):
        store.pipe_file("/bucket/out.zarr.lock", content)
        with pytest.raises(OutputError, match="was not made by this package; move it away"):
            ObjectLock("memory://bucket/out.zarr")
        assert store.cat_file("/bucket/out.zarr.lock") == content


def test_a_heartbeat_in_progress_does_not_write_a_released_lock_again(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    beating, write = threading.Event(), ObjectLock._write

    def slow(held: ObjectLock) -> None:
        if threading.current_thread().name == "output-lock":
            beating.set()
            time.sleep(0.3)
        write(held)

    monkeypatch.setattr(ObjectLock, "_write", slow)
    monkeypatch.setattr(lock, "PERIOD", 0.02)
    held = ObjectLock(URL)
    assert beating.wait(10)
    held.release()
    time.sleep(0.5)
    assert store.ls("/bucket") == []

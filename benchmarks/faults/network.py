"""Network file systems and object stores: the faults that only they have, in a process that is forked for a trial."""

from __future__ import annotations

import errno
import io
import os
import random
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.faults import trials
from napari_restore.images.store import filesystem

if TYPE_CHECKING:
    from benchmarks.faults.campaign import Campaign, Row

__all__ = ["NetworkDisk", "kill_on_network_disks", "kill_on_object_stores", "server", "share_network_disks"]


class NetworkDisk:
    """Make the file system of this process behave like one of a network, below a folder.

    - The reply of every twentieth rename is lost: it is done, and reported as if the source did not exist.
    - A path that did not exist, and a listing, are remembered for a while, as clients do; what other processes change
      in that time is not seen. What this process changes itself is.
    - Folders cannot be flushed.
    - The clock of this client is wrong: what it marks as changed now has another time.

    Parameters
    ----------
    root : Path
        The folder.
    dice : random.Random
        Random generator.
    stale : float
        Seconds for which the client remembers.
    skew : float
        Seconds by which its clock is ahead.
    """

    def __init__(self, root: Path, dice: random.Random, *, stale: float = 1.0, skew: float = 0.0) -> None:
        self.root, self.dice, self.stale, self.skew = str(root), dice, stale, skew
        self.absent: dict[str, float] = {}
        self.listed: dict[str, tuple[float, list[str]]] = {}
        self.original = {name: getattr(os, name) for name in (
            "stat", "lstat", "listdir", "scandir", "replace", "rename", "mkdir", "rmdir", "unlink", "fsync", "utime",
        )}  # fmt: skip

    def mount(self) -> None:
        """Replace functions of `os` and `io` in this process."""
        for name in ("stat", "lstat", "listdir", "scandir", "replace", "fsync", "utime"):
            setattr(os, name, getattr(self, f"_{name}"))
        os.rename = self._replace
        for name in ("mkdir", "rmdir", "unlink"):
            setattr(os, name, self._changing(self.original[name]))
        plain = io.open

        def opened(file: Any, mode: str = "r", *arguments: Any, **given: Any) -> Any:
            if "r" not in mode and not isinstance(file, int):
                self._forget(file)
            return plain(file, mode, *arguments, **given)

        import builtins

        builtins.open = io.open = opened

    def _here(self, path: Any) -> str | None:
        if isinstance(path, int):
            return None
        found = os.path.abspath(os.fsdecode(path))
        return found if found.startswith(self.root) else None

    def _forget(self, *paths: Any) -> None:
        for path in filter(None, map(self._here, paths)):
            self.absent = {key: seen for key, seen in self.absent.items() if not key.startswith(path)}
            self.listed = {key: seen for key, seen in self.listed.items() if not key.startswith(path)}
            self.listed.pop(os.path.dirname(path), None)

    def _changing(self, function: Any) -> Any:
        def changing(path: Any, *arguments: Any, **given: Any) -> Any:
            self._forget(path)
            return function(path, *arguments, **given)

        return changing

    def _stat(self, path: Any, *arguments: Any, _of: str = "stat", **given: Any) -> Any:
        here = self._here(path)
        if here and time.monotonic() - self.absent.get(here, -9e9) < self.stale:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), here)
        try:
            return self.original[_of](path, *arguments, **given)
        except FileNotFoundError:
            if here:
                self.absent[here] = time.monotonic()
            raise

    def _lstat(self, path: Any, **given: Any) -> Any:
        return self._stat(path, _of="lstat", **given)

    def _names(self, path: Any) -> list[str]:
        here = self._here(path)
        seen, names = self.listed.get(here or "", (-9e9, []))
        if here is None or time.monotonic() - seen > self.stale:
            names = self.original["listdir"](path)
            self.listed[here or ""] = (time.monotonic(), names)
        return names

    def _listdir(self, path: Any = ".") -> list[str]:
        return list(self._names(path))

    def _scandir(self, path: Any = ".") -> Any:
        if self._here(path) is None:
            return self.original["scandir"](path)
        names = self._names(path)
        return _Known(self.original["scandir"](path), names)

    def _replace(self, source: Any, target: Any, **given: Any) -> None:
        self._forget(source, target)
        self.original["replace"](source, target, **given)
        if self._here(target) and self.dice.random() < 0.05:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(source))

    def _fsync(self, handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self.original["fsync"](handle)

    def _utime(self, path: Any, times: Any = None, **given: Any) -> None:
        if times is None and not given.get("ns") and self._here(path):
            times = (time.time() + self.skew,) * 2
        self.original["utime"](path, times, **given)


class _Known:
    """The entries of a folder that a client knows of."""

    def __init__(self, entries: Any, names: list[str]) -> None:
        self._entries, self._names = entries, names

    def __iter__(self) -> _Known:
        return self

    def __next__(self) -> Any:
        return next(entry for entry in self._entries if entry.name in self._names)

    def __enter__(self) -> _Known:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries.close()


def kill_on_network_disks(todo: Campaign, row: Row, count: int) -> None:
    """Kill runs on a network disk at labelled points, and resume them on another client of it."""
    for number in range(count):
        room, name = todo.room(), list(trials.POINTS)[number % len(trials.POINTS)]
        passing, seed = todo.dice.randint(1, trials.POINTS[name][3]), todo.dice.randrange(1 << 30)

        def killed(room: Path = room, name: str = name, passing: int = passing, seed: int = seed) -> None:
            NetworkDisk(room, random.Random(seed)).mount()
            trials.short_waits()
            trials.at_point(name, passing, trials.kill)
            trials.restore(todo.folder, room / "out.zarr", fsync=True)

        def resumed(room: Path = room, seed: int = seed) -> None:
            NetworkDisk(room, random.Random(seed + 1)).mount()
            trials.short_waits()
            trials.restore(todo.folder, room / "out.zarr", fsync=True)

        kind, value = trials.fork(killed).result()
        row.add(trials=1, interrupted=kind == "killed", hangs=kind == "hang")
        if kind not in ("killed", "hang"):
            row.notes.append(f"{name} ({passing}): not killed: {kind} {value}")
        kind, value = trials.fork(resumed).result()
        row.add(healed=kind == "done", hangs=kind == "hang", wrong=kind not in ("done", "hang"))
        if kind != "done":
            row.notes.append(f"{name} ({passing}): not resumed: {kind} {value}")
        todo.compare(row, room, todo.whole_of("fsync", fsync=True))


def share_network_disks(todo: Campaign, row: Row, count: int) -> None:
    """Start two runs at once on clients whose clocks differ by minutes; what is stored is right, whoever wins."""
    for _ in range(count):
        room, seed = todo.room(), todo.dice.randrange(1 << 30)
        start, skews = time.time() + 0.2, (todo.dice.uniform(-90, 90), todo.dice.uniform(-90, 90))

        def contending(skew: float, room: Path = room, seed: int = seed, start: float = start) -> None:
            NetworkDisk(room, random.Random(seed + int(skew)), skew=skew).mount()
            trials.short_waits()
            time.sleep(max(0.0, start - time.time()))
            trials.restore(todo.folder, room / "out.zarr")

        children = [trials.fork(lambda skew=skew: contending(skew)) for skew in skews]  # type: ignore[misc]
        results = [child.result() for child in children]
        refused = [value for kind, value in results if kind == "RestoreError"]
        row.add(trials=1, interrupted=len(refused), hangs=sum(kind == "hang" for kind, _ in results))
        row.add(found=sum(value[0] in ("OutputInUse", "OutputTaken") for value in refused))
        row.notes += [str(one) for one in results if one[0] == "error"]
        todo.finish(row, room)


@contextmanager
def server() -> Iterator[str]:
    """Serve an object store with a bucket on this machine; the URL of the bucket."""
    from moto.server import ThreadedMotoServer

    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        os.environ[f"AWS_{name}"] = value
    port = 20_000 + os.getpid() % 20_000

    def serve() -> None:
        ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False).start()
        signal.pause()

    child = trials.fork(serve)
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while trials.fork(lambda: filesystem("s3://bucket")[0].mkdir("bucket")).result()[0] != "done":
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.2)
        yield "s3://bucket"
    finally:
        os.kill(child.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child.pid, 0)


def _objects(url: str) -> dict[str, bytes]:
    files, root = filesystem(url)
    return {key.removeprefix(f"{root}/"): files.cat_file(key) for key in files.find(root)}


def _short_object_waits() -> None:
    from napari_restore.engine.store import object_lock

    trials.short_waits(0.2)
    object_lock.SETTLE = 0.2


def kill_on_object_stores(todo: Campaign, rows: list[Row], count: int) -> None:
    """Kill, resume, overwrite, contend, and damage results in an object store."""
    with server() as bucket:
        for number in range(count):
            for row, function in zip(rows, (_killed, _overwritten, _contended, _flipped), strict=True):
                began, url = time.monotonic(), f"{bucket}/{row.name[:5]}-{number}/out.zarr"
                row.add(trials=1)
                function(todo, row, url)
                row.seconds += time.monotonic() - began


def _restored(todo: Campaign, url: str, **settings: Any) -> None:
    _short_object_waits()
    trials.restore(todo.folder, url, **settings)  # type: ignore[arg-type]


def _right(todo: Campaign, row: Row, url: str, expected: dict[str, bytes]) -> bool:
    """Compare the stored pixels with the expected ones, and look for a lock that was left."""
    kind, found = trials.fork(lambda: _objects(url.rpartition("/")[0])).result()
    assert kind == "done", found
    inside = {key.removeprefix("out.zarr/"): content for key, content in found.items() if key.startswith("out.zarr/")}
    beside = [key for key in found if not key.startswith(("out.zarr/", "out.zarr.report"))]
    row.add(left=bool(beside))
    if beside:
        row.notes.append(f"left behind: {beside}")
    return trials.pixels(inside) == trials.pixels(expected)


def _ended(todo: Campaign, row: Row, url: str, expected: dict[str, bytes], **settings: Any) -> None:
    kind, value = trials.fork(lambda: _restored(todo, url, **settings)).result()
    right = kind == "done" and _right(todo, row, url, expected)
    row.add(healed=right, wrong=not right and kind != "hang", hangs=kind == "hang")
    if not right:
        row.notes.append(f"{kind}: {value}")


def _killed(todo: Campaign, row: Row, url: str, **settings: Any) -> None:
    child = trials.fork(lambda: _restored(todo, url, **settings))
    time.sleep(todo.dice.uniform(0.3, 3 * todo.seconds))
    os.kill(child.pid, signal.SIGKILL)
    row.add(interrupted=child.result()[0] == "killed")
    if not settings:
        _ended(todo, row, url, todo.whole)


def _overwritten(todo: Campaign, row: Row, url: str) -> None:
    kind, value = trials.fork(lambda: _restored(todo, url)).result()
    assert kind == "done", value
    other = todo.other | {"overwrite": True}
    _killed(todo, row, url, **other)
    _ended(todo, row, url, todo.other_whole, **other)


def _contended(todo: Campaign, row: Row, url: str) -> None:
    results = [child.result() for child in [trials.fork(lambda: _restored(todo, url)) for _ in range(2)]]
    refused = sum(kind == "RestoreError" and value[0] in ("OutputInUse", "OutputTaken") for kind, value in results)
    row.add(interrupted=refused, found=refused, hangs=sum(kind == "hang" for kind, _ in results))
    if refused + sum(kind == "done" for kind, _ in results) < 2 or refused == 2:
        row.notes.append(str(results))
    _ended(todo, row, url, todo.whole)


def _flipped(todo: Campaign, row: Row, url: str) -> None:
    kind, value = trials.fork(lambda: _restored(todo, url)).result()
    assert kind == "done", value

    def damaged(seed: int = todo.dice.randrange(1 << 30)) -> tuple[bool, bool]:
        dice, (files, root) = random.Random(seed), filesystem(url)
        key = dice.choice([key for key in sorted(files.find(root)) if "/c/" in key])
        content = bytearray(files.cat_file(key))
        content[dice.randrange(len(content) // 2)] ^= 1 << dice.randrange(8)
        files.pipe_file(key, bytes(content))
        found = trials.api.verify(url)
        return bool(found.bad), trials.api.verify(url, repair=True).ok

    kind, value = trials.fork(damaged).result()
    found, healed = value if kind == "done" else (False, False)
    right = healed and _right(todo, row, url, todo.whole)
    row.add(interrupted=1, found=found, healed=right, wrong=not right)
    if kind != "done":
        row.notes.append(f"{kind}: {value}")

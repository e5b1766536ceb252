from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_restore import api
from napari_restore.engine.store import lock
from napari_restore.engine.store.lock import OutputLock, Owner, lock_of
from napari_restore.errors import OutputError, OutputInUse, OutputTaken


def owner_of(path: Path) -> Owner | None:
    """The run that has locked an output, by what it left on the disk."""
    for mark in lock_of(path).glob("*/owner.json"):
        return Owner(**json.loads(mark.read_text()))
    return None


HOLD = """
import sys, time
from pathlib import Path
from napari_restore.engine.store import lock
lock.PERIOD = float(sys.argv[2])
held = lock.OutputLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def holder(path: Path, period: float = 5.0) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of an output."""
    command = [sys.executable, "-c", HOLD, str(path), str(period)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        try:
            yield child
        finally:
            child.kill()


def test_the_second_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    held = OutputLock(tmp_path / "out.zarr")
    with pytest.raises(OutputInUse, match=rf"@.*process {os.getpid()}, since 20.*wait for it, stop it, or choose"):
        OutputLock(tmp_path / "out.zarr")
    assert owner_of(tmp_path / "out.zarr") == held.owner
    OutputLock(tmp_path / "other.zarr").release()
    held.release()
    held.release()
    assert os.listdir(tmp_path) == [] and owner_of(tmp_path / "out.zarr") is None


def test_a_link_to_an_output_has_its_lock(tmp_path: Path) -> None:
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "link.zarr").symlink_to(tmp_path / "out.zarr")
    held = OutputLock(tmp_path / "link.zarr")
    with pytest.raises(OutputInUse):
        OutputLock(tmp_path / "out.zarr")
    held.release()


def test_of_many_at_once_one_has_it(tmp_path: Path) -> None:
    lock_of(tmp_path / "out.zarr").mkdir()  # as a killed process may leave it
    got: list[OutputLock] = []
    start = threading.Barrier(8)

    def contend() -> None:
        start.wait()
        with contextlib.suppress(OutputInUse):
            got.append(OutputLock(tmp_path / "out.zarr"))

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    got[0].release()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_of_a_killed_run_it_is_taken_over_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with holder(tmp_path / "out.zarr") as child, pytest.raises(OutputInUse, match=f"process {child.pid},"):
        OutputLock(tmp_path / "out.zarr")
    with caplog.at_level(logging.WARNING):
        held = OutputLock(tmp_path / "out.zarr")
    assert "took over the lock of a run that has ended without releasing it" in caplog.text
    assert f"process {child.pid}" in caplog.text
    held.release()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_of_a_run_that_stands_still_it_is_taken_over_after_the_lease(
    tmp_path: Path,
) -> None:
    with holder(tmp_path / "out.zarr", period=0.2) as child:
        time.sleep(lock.LEASE * 0.2 + 1)
        with pytest.raises(OutputInUse):  # its heart beats
            OutputLock(tmp_path / "out.zarr")
        child.send_signal(signal.SIGSTOP)
        time.sleep(lock.LEASE * 0.2 + 0.5)
        OutputLock(tmp_path / "out.zarr").release()


def test_an_owner_of_another_machine_is_known_by_its_heartbeat_alone(tmp_path: Path) -> None:
    held = OutputLock(tmp_path / "out.zarr")
    mark = held.stage.folder / "owner.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"machine": "another", "pid": 1 << 22}))
    with pytest.raises(OutputInUse):
        OutputLock(tmp_path / "out.zarr")
    os.utime(mark, (0, time.time() - 2 * lock.LEASE * lock.PERIOD))
    second = OutputLock(tmp_path / "out.zarr")
    with pytest.raises(OutputTaken):
        held.stage.put(tmp_path / "object", b"mine")
    held.release()
    assert owner_of(tmp_path / "out.zarr") == second.owner
    second.release()


def test_an_owner_that_cannot_be_read_counts_as_alive_until_the_lease_ends(tmp_path: Path) -> None:
    held = OutputLock(tmp_path / "out.zarr")
    (held.stage.folder / "owner.json").write_bytes(b"")
    with pytest.raises(OutputInUse, match="owner unknown"):
        OutputLock(tmp_path / "out.zarr")
    held.release()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_access_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="choose an output in a folder with write access"):
        OutputLock(tmp_path / "out.zarr")
    tmp_path.chmod(0o700)


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "out.zarr", tmp_path / "file" / "deeper" / "out.zarr"):
        with pytest.raises(
            OutputError, match=r"cannot hold the lock of out.zarr: \S*file\S* is a file; choose an output"
        ):
            OutputLock(path)


def test_a_lock_that_was_half_made_is_swept(tmp_path: Path) -> None:
    held = OutputLock(tmp_path / "out.zarr")
    half = tmp_path / f".out.zarr.{held.owner.token}.lock"
    other = tmp_path / f".out.zarr.zarr.{held.owner.token}.lock"
    for place in (half, other):
        (place / held.owner.token).mkdir(parents=True)
        dead = json.loads((held.stage.folder / "owner.json").read_text()) | {"started": "never"}
        (place / held.owner.token / "owner.json").write_text(json.dumps(dead))
    held.release()
    OutputLock(tmp_path / "out.zarr").release()
    assert os.listdir(tmp_path) == [other.name]


def test_a_lock_that_was_hardly_begun_is_swept_after_the_lease(tmp_path: Path) -> None:
    empty = tmp_path / f".out.zarr.{32 * 'a'}.lock"
    empty.mkdir()
    OutputLock(tmp_path / "out.zarr").release()
    assert empty.exists()  # its run may just be making it
    os.utime(empty, (0, 0))
    OutputLock(tmp_path / "out.zarr").release()
    assert not empty.exists()


def test_a_file_in_the_place_of_the_lock_is_told(tmp_path: Path) -> None:
    lock_of(tmp_path / "out.zarr").write_text("?")
    with pytest.raises(OutputError, match=r"is a file and not a lock .* move it away"):
        OutputLock(tmp_path / "out.zarr")
    assert lock_of(tmp_path / "out.zarr").read_text() == "?"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Folders of the user's that no run has touched for long."""
    home = tmp_path / "home"
    for name in ("thesis", 32 * "a", "mail"):
        (home / name).mkdir(parents=True)
        (home / name / "file").write_text("precious")
        os.utime(home / name, (0, 0))
    return home


@pytest.mark.parametrize(
    "odd",
    [{"period": "long"}, {"period": 1e300}, {"period": float("nan")}, {"period": -5}, {"pid": [1]}, {"pid": "../1"},
     {"pid": -1}, {"pid": 10**30}, {"machine": 7}, {"more": 1}],
    ids=str,
)  # fmt: skip
def test_an_owner_that_no_run_has_written_counts_as_unknown(tmp_path: Path, odd: dict[str, object]) -> None:
    held = OutputLock(tmp_path / "out.zarr")
    mark = held.stage.folder / "owner.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"machine": "another"} | odd))
    with pytest.raises(OutputInUse, match="owner unknown"):
        OutputLock(tmp_path / "out.zarr")
    os.utime(mark, (0, time.time() - 2 * lock.LEASE * lock.PERIOD))
    OutputLock(tmp_path / "out.zarr").release()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path, home: Path) -> None:
    place = lock_of(tmp_path / "out.zarr")
    for target in (home, tmp_path / "nowhere", place):  # a folder, nothing, itself
        place.symlink_to(target)
        with pytest.raises(OutputError, match="is a link and not a lock of this package; remove it"):
            OutputLock(tmp_path / "out.zarr")
        place.unlink()
    assert sorted(path.read_text() for path in home.glob("*/file")) == 3 * ["precious"]


def test_what_is_not_ours_in_the_place_of_the_lock_stays(tmp_path: Path, home: Path) -> None:
    place = lock_of(tmp_path / "out.zarr")
    home.rename(place)
    for _ in range(3):  # each of the folders in its turn, also the one that is called like a token
        with pytest.raises(OutputError, match="which this package did not make; move it away"):
            OutputLock(tmp_path / "out.zarr")
        next(iter(sorted(place.iterdir()))).rename(tmp_path / f"moved{len(os.listdir(place))}")
    assert not list(place.iterdir()) and len(list(tmp_path.glob("moved*/file"))) == 3
    OutputLock(tmp_path / "out.zarr").release()


def test_a_link_within_the_lock_is_not_followed(tmp_path: Path, home: Path) -> None:
    (home / "owner.json").write_text("{}")
    place = lock_of(tmp_path / "out.zarr")
    place.mkdir()
    (place / (32 * "b")).symlink_to(home)
    with pytest.raises(OutputError, match="this package did not make"):
        OutputLock(tmp_path / "out.zarr")
    assert len(list(home.glob("*/file"))) == 3


def test_what_is_called_like_a_half_made_lock_and_is_not_stays(tmp_path: Path, home: Path) -> None:
    linked, folder = (tmp_path / f".out.zarr.{32 * letter}.lock" for letter in "cd")
    linked.symlink_to(home)
    (folder / "photos").mkdir(parents=True)
    os.utime(folder / "photos", (0, 0))
    OutputLock(tmp_path / "out.zarr").release()
    assert linked.is_symlink() and len(list(home.glob("*/file"))) == 3 and (folder / "photos").is_dir()


def test_a_lock_that_is_taken_over_is_deleted_without_following_links(tmp_path: Path, home: Path) -> None:
    held = OutputLock(tmp_path / "out.zarr")
    (held.stage.folder / "link").symlink_to(home)
    mark = held.stage.folder / "owner.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"started": "never"}))
    OutputLock(tmp_path / "out.zarr").release()
    assert not held.stage.folder.exists() and len(list(home.glob("*/file"))) == 3


def test_runs_hold_it_and_give_it_back(tmp_path: Path, stack, checkpoints: dict[str, Path]) -> None:  # type: ignore[no-untyped-def]
    settings = {"model": checkpoints["local"], "axes": "ZYX", "shards": (1, 64, 64), "chunks": (1, 64, 64), "tile": 64}
    settings |= {"halo": 8, "output": tmp_path / "out.zarr"}

    def left() -> list[str]:
        return [name for name in os.listdir(tmp_path) if ".report." not in name]

    events = api.iter_restore(stack, **settings)
    next(events)
    with pytest.raises(OutputInUse):
        api.restore(stack, **settings)
    with pytest.raises(OutputInUse):
        api.restore(stack, overwrite=True, **settings)
    events.close()
    assert left() == ["out.zarr"]
    api.restore(stack, **settings)
    assert left() == ["out.zarr"]
    with pytest.raises(OutputError, match="another recipe"):
        api.restore(stack, **settings | {"halo": 16})
    assert left() == ["out.zarr"]


def test_a_rename_whose_reply_is_lost_has_taken_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network file system: it is done, and reported as if the source did not exist."""
    replace = os.replace

    def lossy(source: Path, target: Path) -> None:
        replace(source, target)
        raise FileNotFoundError(2, "No such file or directory", str(source))

    monkeypatch.setattr(os, "replace", lossy)
    held = OutputLock(tmp_path / "out.zarr")
    assert owner_of(tmp_path / "out.zarr") == held.owner
    with pytest.raises(OutputInUse):
        OutputLock(tmp_path / "out.zarr")
    held.release()
    assert not os.listdir(tmp_path)


def test_the_heartbeat_is_not_taken_from_what_a_client_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of a network file system may remember a time for a minute; it asks again when a file is opened."""
    held, stat = OutputLock(tmp_path / "out.zarr"), os.stat
    mark = next(lock_of(tmp_path / "out.zarr").glob("*/owner.json"))
    monkeypatch.setattr(lock, "why_abandoned", lambda owner, silent: "is old" if silent > 60 else None)

    def remembered(path: Path, **given: object) -> os.stat_result:
        found = list(stat(path, **given))  # type: ignore[call-overload]
        if Path(path) == mark:
            found[8] -= 90
        return os.stat_result(found)

    monkeypatch.setattr(os, "stat", remembered)
    assert mark.stat().st_mtime < time.time() - 80
    with pytest.raises(OutputInUse):
        OutputLock(tmp_path / "out.zarr")
    held.release()

from __future__ import annotations

import errno
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest

from napari_restore import retrying
from napari_restore.errors import OutputError, OutputTaken
from napari_restore.images.staging import Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(retrying, "sleep", lambda seconds: None)
    (tmp_path / "own").mkdir()
    return Stage(tmp_path / "own")


@pytest.mark.parametrize("fsync", [False, True])
def test_an_object_comes_with_its_directories(stage: Stage, tmp_path: Path, fsync: bool) -> None:
    stage = pickle.loads(pickle.dumps(Stage(stage.folder, fsync)))
    stage.put(tmp_path / "out/0/c/1", b"old")
    stage.put(tmp_path / "out/0/c/1", memoryview(b"new"))
    assert (tmp_path / "out/0/c/1").read_bytes() == b"new"
    assert os.listdir(stage.folder) == []


def test_fsync_reaches_the_object_and_every_directory_that_is_new(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")))
    Stage(stage.folder, fsync=True).put(tmp_path / "out/0/c/1", b"x")
    assert synced[0].endswith(".partial")
    assert set(synced[1:]) == {str(tmp_path / name) for name in ("out", "out/0", "out/0/c")}


def test_who_has_lost_the_directory_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"another run's")
    stage.folder.rename(tmp_path / "taken")
    for attempt in (
        lambda: stage.put(tmp_path / "there", b"mine"),
        lambda: stage.discard(tmp_path / "there"),
        lambda: stage.move_in(stage.folder / "new", tmp_path / "there"),
    ):
        with pytest.raises(OutputTaken, match=r"another run has taken over.*or its lock was deleted"):
            attempt()
    assert (tmp_path / "there").read_bytes() == b"another run's"


def test_taken_between_writing_and_renaming(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def late(source: Path, target: Path) -> None:
        stage.folder.rename(tmp_path / "taken")
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    with pytest.raises(OutputTaken):
        stage.put(tmp_path / "object", b"mine")
    assert not (tmp_path / "object").exists()


@pytest.mark.parametrize(("number", "tries"), [(errno.EIO, 4), (errno.EACCES, 4), (errno.ENOSPC, 1), (errno.EROFS, 1)])
def test_what_may_pass_is_tried_again(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, tries: int
) -> None:
    count = 0

    def failing(*_: Any) -> None:
        nonlocal count
        count += 1
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match=os.strerror(number)):
        stage.put(tmp_path / "object", b"x")
    assert count == tries
    assert os.listdir(stage.folder) == []


def test_a_directory_is_discarded_whole(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "old/0").mkdir(parents=True)
    stage.discard(tmp_path / "old")
    stage.discard(tmp_path / "old")
    assert os.listdir(tmp_path) == ["own"] and os.listdir(stage.folder) == []


def test_nothing_is_written_or_deleted_behind_a_link(stage: Stage, tmp_path: Path) -> None:
    outside, output = tmp_path / "outside", tmp_path / "out.zarr"
    for folder in (outside, output):
        folder.mkdir()
    (outside / "file").write_text("precious")
    (output / "c").symlink_to(outside)
    (stage.folder / "new").mkdir()
    for change in (
        lambda: stage.put(output / "c/0", b"pixels"),
        lambda: stage.put(output / "c/0/1", b"pixels"),
        lambda: stage.discard(output / "c/file"),
        lambda: stage.move_in(stage.folder / "new", output / "c/image"),
    ):
        with pytest.raises(OutputError, match=r"lies behind a link .*outside"):
            change()
    assert os.listdir(outside) == ["file"]
    (output / "object").symlink_to(outside / "file")  # a link to a file is replaced
    stage.put(output / "object", b"pixels")
    assert (outside / "file").read_text() == "precious" and (output / "object").read_bytes() == b"pixels"


def test_a_rename_whose_reply_is_lost_has_stored_the_object(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system repeats the request, and then the source has gone."""
    replace = os.replace

    def lossy(source: Path, target: Path) -> None:
        replace(source, target)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))

    monkeypatch.setattr(os, "replace", lossy)
    stage.put(tmp_path / "out/0/c/1", b"old")
    stage.put(tmp_path / "out/0/c/1", b"new")
    assert (tmp_path / "out/0/c/1").read_bytes() == b"new"
    (stage.folder / "made").mkdir()
    stage.move_in(stage.folder / "made", tmp_path / "there")
    assert (tmp_path / "there").is_dir()
    stage.discard(tmp_path / "out/0/c/1")
    assert not (tmp_path / "out/0/c/1").exists() and os.listdir(stage.folder) == []


def test_a_rename_that_was_not_done_is_an_error_though_the_target_exists(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "object").write_bytes(b"old")

    def gone(source: Path, target: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))

    monkeypatch.setattr(os, "replace", gone)
    with pytest.raises(FileNotFoundError):
        stage.put(tmp_path / "object", b"new")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_folders_that_cannot_be_flushed_are_not(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fsync = os.fsync

    def of_files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", of_files_only)
    through = Stage(stage.folder, fsync=True)
    if number == errno.EIO:  # it may be on no disk
        with pytest.raises(OSError, match=os.strerror(number)):
            through.put(tmp_path / "out/0/c/1", b"x")
    else:
        through.put(tmp_path / "out/0/c/1", b"x")
        assert (tmp_path / "out/0/c/1").read_bytes() == b"x"

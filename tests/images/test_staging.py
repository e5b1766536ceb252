from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_restore.errors import OutputError, OutputTaken
from napari_restore.images import staging
from napari_restore.images.staging import Stage
from napari_restore.images.writing import ome_zarr


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(staging, "PAUSES", (0.001, 0.001))
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
        with pytest.raises(OutputTaken, match=r"another run has taken over.*or somebody has deleted its lock"):
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


@pytest.mark.parametrize(("number", "tries"), [(errno.EIO, 3), (errno.EACCES, 3), (errno.ENOSPC, 1), (errno.EROFS, 1)])
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


@pytest.mark.parametrize("shards", [None, (1, 32, 32)])
def test_an_object_is_the_one_that_zarr_would_store(
    stage: Stage, tmp_path: Path, shards: tuple[int, ...] | None
) -> None:
    version = "0.4" if shards is None else "0.5"
    block = np.random.default_rng(0).poisson(9, (1, 32, 18)).astype("u2")
    for name in ("theirs", "ours"):
        ome_zarr.create(
            tmp_path / name, shape=(2, 40, 50), dtype="u2", axes="ZYX", chunks=(1, 32, 32) if shards is None else
            (1, 16, 16), shards=shards, version=version,
        )  # fmt: skip
        array = ome_zarr.open_level(tmp_path / name, 0, "r+")
        ome_zarr.write_unit(array, (1, 0, 1), block, stage if name == "ours" else None)
        ome_zarr.write_unit(array, (0, 0, 1), block * 0, stage if name == "ours" else None)
    found = [
        {
            file.relative_to(tmp_path / name): file.read_bytes()
            for file in (tmp_path / name).rglob("*")
            if file.is_file()
        }
        for name in ("theirs", "ours")
    ]
    assert found[0] == found[1]


def test_an_output_that_was_moved_is_not_made_again_without_its_metadata(stage: Stage, tmp_path: Path) -> None:
    ome_zarr.create(tmp_path / "out", shape=(40, 50), dtype="u2", axes="YX", chunks=(32, 32))
    array = ome_zarr.open_level(tmp_path / "out", 0, "r+")
    (tmp_path / "out").rename(tmp_path / "moved")
    with pytest.raises(OutputError, match="was it deleted or moved"):
        ome_zarr.write_unit(array, (0, 0), np.zeros((32, 32), "u2"), stage)
    assert not (tmp_path / "out").exists()

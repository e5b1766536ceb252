"""A disk that is full ends a run in words, and what is stored counts once there is room."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interrupted_runs import PLANES, SETTINGS, beside, stored
from stored_files import files

from napari_restore import api
from napari_restore.errors import DiskFull, OutputError
from napari_restore.images.staging import Stage


def test_no_space_left(
    source: Path,
    checkpoints: dict[str, Path],
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, put, room = tmp_path / "out.zarr", Stage._put, 4

    def put_while_there_is_room(stage: Stage, target: Path, content: Any) -> None:
        nonlocal room
        room -= "/c/" in target.as_posix()  # reports and digests are small
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        put(stage, target, content)

    monkeypatch.setattr(Stage, "_put", put_while_there_is_room)
    with pytest.raises(DiskFull, match=r"No space left.*32 of 36 objects are not stored yet, about ") as caught:
        api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert isinstance(caught.value.__cause__, OSError)
    assert beside(output) == ["out.zarr"]
    assert len(list(output.glob("[01]/c/*/*/*"))) == 4
    monkeypatch.undo()
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], small_disk: Path
) -> None:
    output = small_disk / "out.zarr"
    with pytest.raises(DiskFull, match="No space left"):
        api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert 0 < stored(output) < PLANES
    assert beside(output) == ["out.zarr"] and not list(output.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    api.denoise(source, output, model=checkpoints["denoiser"], **SETTINGS)
    assert files(output) == whole


def test_a_result_that_cannot_fit_is_refused(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(OutputError, match=r"takes .* before compression, and .* free"):
        api.denoise(source, tmp_path / "out.zarr", model=checkpoints["denoiser"], **SETTINGS)
    assert os.listdir(tmp_path) == []

"""Blocks that fail, or whose workers die, are tried elsewhere, and named when that does not help."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from cluster_runs import KNOWN, SETTINGS, SHAPE, stored
from poison import Poison
from stored_files import files

from napari_restore import api
from napari_restore.engine.run.cluster import retries as window
from napari_restore.engine.run.cluster import run as running
from napari_restore.errors import BlocksFailed, SourceError
from napari_restore.images.image import Image

# Workers that are killed leave a socket or a pipe to the garbage collector now and then.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def test_a_worker_that_is_killed(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path, mortal_client: Any
) -> None:
    output, killed = tmp_path / "out.zarr", False
    for event in api.iter_restore(
        source, output=output, model=checkpoints["denoiser"], scheduler=mortal_client, resources={"disk": 1}, **SETTINGS
    ):
        if event.done >= 2 and not killed:
            os.kill(next(iter(mortal_client.run(os.getpid).values())), signal.SIGKILL)
            killed = True
    assert killed and files(output) == whole


def test_a_block_that_fails_once_is_made_elsewhere(
    checkpoints: dict[str, Path], tmp_path: Path, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    image = Image(Poison(SHAPE, {5}, "fail", tmp_path / "failed"), "ZYX")
    output = api.denoise(image, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=client, **KNOWN)
    assert (tmp_path / "failed").exists() and stored(output) == 12


def test_blocks_that_fail_or_kill_are_named_at_the_end(
    checkpoints: dict[str, Path], tmp_path: Path, mortal_client: Any
) -> None:
    image, output = Image(Poison(SHAPE, {5}, "fail"), "ZYX"), tmp_path / "fails.zarr"
    with pytest.raises(BlocksFailed, match=r"1 of 12 blocks .*\(5, 0, 0\): .*the plane is damaged"):
        api.denoise(image, output, model=checkpoints["denoiser"], scheduler=mortal_client, **KNOWN)
    assert stored(output) == 11
    image, output = Image(Poison(SHAPE, {5}, "kill"), "ZYX"), tmp_path / "kills.zarr"
    with pytest.raises(BlocksFailed, match=r"1 of 12 blocks .*\(5, 0, 0\): workers that try it die"):
        api.denoise(image, output, model=checkpoints["denoiser"], scheduler=mortal_client, **KNOWN)
    assert stored(output) == 11


def test_a_unit_meant_for_a_worker_that_is_gone_is_sent_elsewhere(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path, client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    send, recalled = window.Window._send, []

    def to_one_that_is_gone(self: Any, unit: Any) -> None:
        if unit == (0, (3, 0, 0)):
            recalled.append(unit)
            if len(recalled) == 1:
                self._states[unit] = window._State(failed_on=set(self._workers))
                self._workers = self._workers | {"tcp://127.0.0.1:9": 1}
        send(self, unit)

    monkeypatch.setattr(window.Window, "_send", to_one_that_is_gone)
    output = api.denoise(source, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=client, **SETTINGS)
    assert len(recalled) == 2 and files(output) == whole


def test_what_fails_everywhere_ends_the_run_early(checkpoints: dict[str, Path], tmp_path: Path, client: Any) -> None:
    image = Image(Poison((200, 32, 32), range(1, 200), "fail"), "ZYX")
    settings = KNOWN | {"shards": (1, 32, 32), "chunks": (1, 32, 32)}
    with pytest.raises(SourceError, match="the plane is damaged"):
        api.denoise(image, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=client, **settings)


def test_a_straggler_is_overtaken(
    checkpoints: dict[str, Path], tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "STRAGGLER", 0.5)
    monkeypatch.setattr(window, "TIMES_MEDIAN", 0.0)
    end = tmp_path / "end"
    image = Image(Poison(SHAPE, {11}, "wait", end), "ZYX")
    first, sends = window.Window._send, []

    def send(self: Any, unit: Any) -> None:
        sends.append(unit)
        first(self, unit)
        if sends.count((0, (11, 0, 0))) == 2:
            end.touch()

    monkeypatch.setattr(window.Window, "_send", send)
    output = api.denoise(image, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=client, **KNOWN)
    assert sends.count((0, (11, 0, 0))) == 2 and stored(output) == 12


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
@pytest.mark.parametrize("stopped", ["one", "all, and the run is closed"])
def test_workers_that_stand_still(
    source: Path,
    checkpoints: dict[str, Path],
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mortal_client: Any,
    stopped: str,
) -> None:
    monkeypatch.setattr(window, "STRAGGLER", 2.0)
    monkeypatch.setattr(window, "ANSWER", 2.0)
    monkeypatch.setattr(running, "ANSWER", 2.0)
    output = tmp_path / "out.zarr"
    events = api.iter_restore(source, output=output, model=checkpoints["denoiser"], scheduler=mortal_client, **SETTINGS)
    next(event for event in events if event.done >= 2)
    workers = [worker.pid for worker in mortal_client.cluster.workers.values()]
    still = workers[:1] if stopped == "one" else workers
    for pid in still:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        if stopped == "one":
            assert [event.done for event in events if event.stage == "restoring"][-1] == 12
        else:
            next(events)
            events.close()
        assert time.monotonic() - began < 60
    finally:
        for pid in still:
            os.kill(pid, signal.SIGCONT)
    if stopped == "one":
        assert files(output) == whole
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []

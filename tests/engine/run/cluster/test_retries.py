"""Nothing waits for a worker that stands still."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from clusters import KNOWN, SETTINGS, SHAPE
from poison import Poison
from stored_files import files

from napari_restore import api
from napari_restore.engine.run.cluster import heartbeats
from napari_restore.engine.run.cluster import retries as window
from napari_restore.engine.run.cluster import run as running
from napari_restore.errors import ClusterError
from napari_restore.images.image import Image

# Workers that are killed leave a socket or a pipe to the garbage collector now and then.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
@pytest.mark.parametrize("stopped", ["one", "one, before the first block", "all, and the run is closed"])
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
    monkeypatch.setattr(running, "TIDY", 0.5)
    monkeypatch.setattr(heartbeats, "SILENT", 2.0)
    monkeypatch.setattr(heartbeats, "INTERVALS", 2)
    monkeypatch.setattr(window, "REFRESH", 0.5)
    monkeypatch.setattr(running, "CHECK", 0.5)
    output = tmp_path / "out.zarr"
    events = api.iter_restore(source, output=output, model=checkpoints["denoiser"], scheduler=mortal_client, **SETTINGS)
    next(event for event in events if event.done >= (0 if "before" in stopped else 2))
    workers = [worker.pid for worker in mortal_client.cluster.workers.values()]
    still = workers[:1] if stopped.startswith("one") else workers
    for pid in still:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        if stopped.startswith("one"):
            assert [event.done for event in events if event.stage == "restoring"][-1] == 12
        else:
            next(events)
            events.close()
        assert time.monotonic() - began < 60
    finally:
        for pid in still:
            os.kill(pid, signal.SIGCONT)
    if stopped.startswith("one"):
        assert files(output) == whole
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


def test_no_two_tasks_of_a_run_have_the_same_key(
    source: Path,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    client: Any,
) -> None:
    """Dask takes a task for one with the same key that it has not forgotten, as of a worker that stands still.

    Tasks of coarser levels had the keys of tasks of blocks, and were then never computed.
    """
    kept: dict[str, Any] = {}
    submit = client.submit

    def submitted(*arguments: Any, key: str, **options: Any) -> Any:
        assert key not in kept
        kept[key] = submit(*arguments, key=key, **options)
        return kept[key]

    monkeypatch.setattr(client, "submit", submitted)
    half = {"chunks": (1, 16, 260), "shards": (1, 16, 260)}
    api.denoise(source, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=client, **SETTINGS, **half)
    assert len(kept) > 24  # blocks, and units of the coarser level that each take two of them


def test_the_wait_for_the_first_block_has_a_limit(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    """Workers send heartbeats, and wait for a source that never answers. No block was timed."""
    end = tmp_path / "end"
    image = Image(Poison(SHAPE, range(12), "wait", end), "ZYX")
    monkeypatch.setattr(running, "_check_reach", lambda *_: None)
    monkeypatch.setattr(window, "STANDSTILL", 1.0)
    monkeypatch.setattr(running, "ANSWER", 1.0)
    settings = KNOWN | {"model": checkpoints["denoiser"], "scheduler": client}
    end.touch()
    plan = api.plan(image, **settings)
    end.unlink()
    monkeypatch.setattr(running, "tile_seconds", lambda *_: 0.0)
    try:
        with pytest.raises(ClusterError, match=r"has finished a batch of tiles for 1 s; .* same call resumes"):
            list(api.run(plan, tmp_path / "out.zarr", scheduler=client))
    finally:
        end.touch()


def test_a_slow_network_gives_a_longer_limit() -> None:
    class Client:
        def subscribe_topic(self, *_: Any) -> None:
            pass

    pool: Any = type("Pool", (), {"client": Client()})()
    assert window.Window(pool, "run", 1.0)._standstill == window.STANDSTILL
    slow = window.Window(pool, "run", 3600.0)
    assert slow._standstill == 50 * 3600
    slow._seconds.extend([20_000.0] * 3)
    assert slow._standstill == 20 * 20_000

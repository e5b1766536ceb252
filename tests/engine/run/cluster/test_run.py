"""A run on a cluster gives the bytes of a run in this process, whatever happens to its workers."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import tifffile
from cluster_runs import SETTINGS, pixels, stored
from stored_files import files

from napari_restore import api
from napari_restore.errors import ClusterError, SourceError

# Workers that are killed leave a socket or a pipe to the garbage collector now and then.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def test_two_processes_give_the_bytes_of_this_one(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path, client: Any
) -> None:
    output, address = tmp_path / "out.zarr", client.scheduler.address
    events = list(api.iter_restore(source, output=output, model=checkpoints["denoiser"], scheduler=address, **SETTINGS))
    assert files(output) == whole
    assert (events[0].stage, events[0].done) == ("restoring", 0)
    last = [event for event in events if event.stage == "restoring"][-1]
    assert last.done == last.total == 12 and last.tiles_done == last.tiles_total > 0
    # Nothing stays behind on the workers.
    assert not any(client.run(lambda dask_worker: [n for n in dask_worker.plugins if "napari" in n]).values())


def test_what_is_there_is_not_made_again(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path, client: Any
) -> None:
    output = tmp_path / "out.zarr"
    events = api.iter_restore(source, output=output, model=checkpoints["denoiser"], scheduler=client, **SETTINGS)
    next(event for event in events if event.done >= 2)
    events.close()
    there = stored(output)
    assert 2 <= there < 12
    time.sleep(0.3)
    assert stored(output) == there  # closed is over
    events = api.iter_restore(source, output=output, model=checkpoints["denoiser"], scheduler=client, **SETTINGS)
    assert next(events).done == there
    list(events)
    assert files(output) == whole


def test_several_devices_of_this_machine(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    """CPU processes in the place of GPUs: the same but for what a process sees."""
    output = tmp_path / "out.zarr"
    plan = api.plan(source, output=output, model=checkpoints["denoiser"], **SETTINGS | {"device": "cpu,cpu"})
    assert "cpu,cpu" in str(plan)
    assert list(api.run(plan, output))[-1].done == 12
    assert b"cpu,cpu" in files(output)["zarr.json"]
    assert pixels(files(output)) == pixels(whole)
    with pytest.raises(SourceError, match="in the memory of this process"):
        api.denoise(
            np.zeros((10, 1000, 1000), np.uint16), tmp_path / "other.zarr", axes="ZYX", model=checkpoints["denoiser"],
            **SETTINGS | {"device": "cpu,cpu"},
        )  # fmt: skip
    assert not (tmp_path / "other.zarr").exists()


def test_the_clock_of_the_coarser_levels_does_not_start_again(
    checkpoints: dict[str, Path], tmp_path: Path, client: Any
) -> None:
    image = np.random.default_rng(0).poisson(100, (3, 32, 600)).astype(np.uint16)
    path, output = tmp_path / "stack.tif", tmp_path / "out.zarr"
    tifffile.imwrite(path, image, photometric="minisblack", metadata={"axes": "ZYX"})
    settings = SETTINGS | {"model": checkpoints["denoiser"], "chunks": (1, 32, 100), "shards": (1, 32, 100)}
    api.denoise(path, output, **settings)
    expected = files(output)
    for level in "12":
        shutil.rmtree(output / level / "c")
    events = [
        event
        for event in api.iter_restore(path, output=output, scheduler=client, **settings)
        if event.stage == "pyramid"
    ]
    assert [(event.done, event.total) for event in events if event.done == event.total] == [(9, 9), (6, 6)]
    seconds = [event.seconds for event in events]
    assert seconds == sorted(seconds)
    assert files(output) == expected


def test_a_scheduler_that_is_killed(
    source: Path,
    checkpoints: dict[str, Path],
    whole: dict[str, bytes],
    tmp_path: Path,
    client: Any,
    command: tuple[subprocess.Popen[bytes], str],
) -> None:
    scheduler, address = command
    output = tmp_path / "out.zarr"
    with (  # noqa: PT012
        dask.config.set({"distributed.comm.timeouts.connect": "3s"}),
        pytest.raises(ClusterError, match="same call goes on"),
    ):
        for event in api.iter_restore(
            source, output=output, model=checkpoints["denoiser"], scheduler=address, **SETTINGS
        ):
            if event.done >= 2:
                scheduler.kill()
    assert 2 <= stored(output) < 12
    api.denoise(source, output, model=checkpoints["denoiser"], scheduler=client, **SETTINGS)
    assert files(output) == whole

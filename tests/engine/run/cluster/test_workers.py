"""A run on a cluster gives the bytes of a run in this process, whatever happens to its workers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import tifffile
from clusters import KNOWN, SETTINGS, SHAPE
from poison import Poison
from stored_files import files

from napari_restore import api
from napari_restore.engine.run.cluster import planning as on_worker
from napari_restore.engine.run.cluster import retries as window
from napari_restore.engine.run.cluster import workers as engine_cluster
from napari_restore.engine.run.cluster.heartbeats import Heartbeats
from napari_restore.engine.run.cluster.workers import Cluster
from napari_restore.errors import BlocksFailed, ClusterError, RecipeError, RestoreError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.writing.layout import WriteUnit

# Workers that are killed leave a socket or a pipe to the garbage collector now and then.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def pixels(content: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in content.items() if "/c/" in name}


def stored(path: Path) -> int:
    return sum(not file.name.endswith(".partial") for file in path.glob("0/c/*/*/*"))


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


@pytest.mark.long
def test_blocks_that_fail_or_kill_are_named_at_the_end(
    checkpoints: dict[str, Path], tmp_path: Path, mortal_client: Any
) -> None:
    image, output = Image(Poison(SHAPE, {5}, "fail"), "ZYX"), tmp_path / "fails.zarr"
    with pytest.raises(BlocksFailed, match=r"1 of 12 blocks .*level 0, unit 5/0/0: .*the plane is damaged"):
        api.denoise(image, output, model=checkpoints["denoiser"], scheduler=mortal_client, **KNOWN)
    assert stored(output) == 11
    image, output = Image(Poison(SHAPE, {5}, "kill"), "ZYX"), tmp_path / "kills.zarr"
    with pytest.raises(BlocksFailed, match=r"1 of 12 blocks .*level 0, unit 5/0/0: workers die when they compute it"):
        api.denoise(image, output, model=checkpoints["denoiser"], scheduler=mortal_client, **KNOWN)
    assert stored(output) == 11


def test_a_unit_meant_for_a_worker_that_is_gone_is_sent_elsewhere(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path, client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    send, recalled = window.Window._send, []

    def to_one_that_is_gone(self: Any, unit: Any) -> None:
        if unit == WriteUnit(0, (3, 0, 0)):
            recalled.append(unit)
            if len(recalled) == 1:
                self._histories[unit] = window._History(failed_on=set(self._workers))
                self._workers = self._workers | {"tcp://127.0.0.1:9": 1}
        send(self, unit)

    monkeypatch.setattr(window.Window, "_send", to_one_that_is_gone)
    output = api.denoise(source, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=client, **SETTINGS)
    assert len(recalled) == 2 and files(output) == whole


@pytest.mark.long
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
        if sends.count(WriteUnit(0, (11, 0, 0))) == 2:
            end.touch()

    monkeypatch.setattr(window.Window, "_send", send)
    output = api.denoise(image, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=client, **KNOWN)
    assert sends.count(WriteUnit(0, (11, 0, 0))) == 2 and stored(output) == 12


def test_preflight(
    source: Path,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"model": checkpoints["denoiser"], "scheduler": client, **SETTINGS}
    output = tmp_path / "out.zarr"
    with pytest.raises(ClusterError, match=r"none of the 2 workers .* offers .*GPU.*--resources \"GPU=1\""):
        api.denoise(source, output, **settings | {"device": "cuda"})
    with pytest.raises(SourceError, match=r"19\.1 MiB|20\.\d MB.*memory of this process"):
        api.denoise(np.zeros((10, 1000, 1000), np.uint16), output, axes="ZYX", **settings)
    with pytest.raises(RecipeError, match="give output="):
        api.denoise(source, **settings)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ClusterError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9 "),
    ):
        api.denoise(source, output, **settings | {"scheduler": "tcp://127.0.0.1:9"})
    asker = engine_cluster._facts_asker
    monkeypatch.setattr(engine_cluster, "_facts_asker", lambda: _Older(asker()))
    with pytest.raises(ClusterError, match=r"torch .*here 0\.1"):
        api.denoise(source, output, **settings)
    monkeypatch.undo()
    monkeypatch.setattr(Cluster, "threads", 1)
    assert not output.exists()
    elsewhere = Image(Poison(SHAPE, {0}, "fail"), "ZYX")
    with pytest.raises(ClusterError, match=r"cannot do this run: .*damaged .2 of 2 workers"):
        api.denoise(elsewhere, output, **settings | KNOWN)


class _Older:
    """Tells an older torch here, and travels as what asks for the truth."""

    def __init__(self, ask: Any) -> None:
        self.ask = ask

    def __call__(self) -> Any:
        facts = self.ask()
        return facts | {"versions": facts["versions"] | {"torch": "0.1"}}

    def __reduce__(self) -> Any:
        return (_itself, (self.ask,))


def _itself(ask: Any) -> Any:
    return ask


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


@pytest.fixture
def command() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler that can be killed, with a worker."""
    from distributed.utils import open_port

    address = f"tcp://127.0.0.1:{open_port()}"
    port = address.rsplit(":", 1)[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port]
    scheduler = subprocess.Popen([*line, "--no-dashboard"], **quiet)
    listening, deadline = False, time.monotonic() + 60
    while not listening and time.monotonic() < deadline:  # a busy machine takes seconds to start it
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), timeout=5):
            listening = True
    line = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
    worker = subprocess.Popen([*line, "--no-dashboard"], **quiet)
    yield scheduler, address
    for child in (scheduler, worker):
        child.kill()
        child.wait()


def test_a_worker_that_times_out_while_it_plans(
    source: Path, checkpoints: dict[str, Path], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []
    workers = Cluster.workers

    def gone_after_a_while(self: Cluster) -> dict[str, int]:
        looks.append(self)
        return workers(self) if len(looks) < 9 else {}

    monkeypatch.setattr(Cluster, "workers", gone_after_a_while)
    monkeypatch.setattr(on_worker, "planned", _times_out)
    with pytest.raises(RestoreError, match="TimeoutError: the shared disk does not answer"):
        api.plan(source, model=checkpoints["denoiser"], scheduler=client, **SETTINGS)


def _times_out(*_: Any) -> None:
    raise TimeoutError("the shared disk does not answer")


class _ManyWorkers:
    """A client of a scheduler of nine workers, that keeps five in mind, as distributed 2026.1 does."""

    status = "running"

    def __init__(self) -> None:
        self.all = {f"tcp://10.0.0.{number}:9": {"nthreads": 2, "last_seen": 0.0} for number in range(9)}
        self.scheduler = self

    def identity(self, n_workers: int = -1) -> dict[str, Any]:
        count = len(self.all) if n_workers == -1 else n_workers
        return {"n_workers": len(self.all), "workers": dict(list(self.all.items())[:count])}

    def scheduler_info(self, n_workers: int = 5) -> dict[str, Any]:
        return self.identity(5)  # as kept by the client's own look, after the answer to another question

    def sync(self, function: Any, callback_timeout: float, **arguments: Any) -> Any:
        assert callback_timeout > 0
        return function(**arguments)


def test_no_worker_is_overlooked() -> None:
    cluster = object.__new__(Cluster)
    cluster.client, cluster.resources, cluster.at_once, cluster._heartbeats = _ManyWorkers(), {}, 1, Heartbeats()
    assert len(cluster.workers()) == 9


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
        pytest.raises(ClusterError, match="same call resumes the run"),
    ):
        for event in api.iter_restore(
            source, output=output, model=checkpoints["denoiser"], scheduler=address, **SETTINGS
        ):
            if event.done >= 2:
                scheduler.kill()
    assert 2 <= stored(output) < 12
    api.denoise(source, output, model=checkpoints["denoiser"], scheduler=client, **SETTINGS)
    assert files(output) == whole


def test_a_scheduler_that_is_killed_while_a_run_is_planned(
    source: Path,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    command: tuple[subprocess.Popen[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler, address = command
    planning = on_worker._planned_by

    def kill_and_plan(*arguments: Any) -> Any:
        scheduler.kill()
        return planning(*arguments)

    monkeypatch.setattr(on_worker, "_planned_by", kill_and_plan)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "10s"}),
        pytest.raises(ClusterError, match=r"was lost|same call resumes|repeat the call|does not answer"),
    ):
        api.denoise(source, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=address, **SETTINGS)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_scheduler_that_is_suspended(
    source: Path,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    command: tuple[subprocess.Popen[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler, address = command
    events = api.iter_restore(
        source, output=tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=address, **SETTINGS
    )
    next(event for event in events if event.done >= 2)
    scheduler.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(engine_cluster, "SCHEDULER", 1.0)
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"does not answer .no answer within 1 s.* same call resumes the run"):
        list(events)
    assert time.monotonic() - began < 60  # of which a question that was asked before takes 30 at most
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []

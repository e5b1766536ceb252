"""Who takes part in a run: workers are asked, and found fit, before anything is done."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from cluster_runs import KNOWN, SETTINGS, SHAPE
from poison import Poison

from napari_restore import api
from napari_restore.engine.run.cluster import workers as engine_cluster
from napari_restore.engine.run.cluster.workers import Cluster
from napari_restore.errors import ClusterError, RecipeError, RestoreError, SourceError
from napari_restore.images.image import Image

# Workers that are killed leave a socket or a pipe to the garbage collector now and then.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


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


def test_a_worker_that_times_out_while_it_plans(
    source: Path, checkpoints: dict[str, Path], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []
    workers = Cluster.workers

    def gone_after_a_while(self: Cluster) -> dict[str, int]:
        looks.append(self)
        return workers(self) if len(looks) < 9 else {}

    monkeypatch.setattr(Cluster, "workers", gone_after_a_while)
    monkeypatch.setattr(engine_cluster, "planned", _times_out)
    with pytest.raises(RestoreError, match="TimeoutError: the shared disk does not answer"):
        api.plan(source, model=checkpoints["denoiser"], scheduler=client, **SETTINGS)


def _times_out(*_: Any) -> None:
    raise TimeoutError("the shared disk does not answer")


class _ManyWorkers:
    """A client of a scheduler of nine workers, that keeps five in mind, as distributed 2026.1 does."""

    status = "running"

    def __init__(self) -> None:
        self.all = {f"tcp://10.0.0.{number}:9": {"nthreads": 2} for number in range(9)}
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
    cluster.client, cluster.resources, cluster.at_once = _ManyWorkers(), {}, 1
    assert len(cluster.workers()) == 9


def test_a_scheduler_that_is_killed_while_a_run_is_planned(
    source: Path,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    command: tuple[subprocess.Popen[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler, address = command
    planning = engine_cluster._planned_by

    def kill_and_plan(*arguments: Any) -> Any:
        scheduler.kill()
        return planning(*arguments)

    monkeypatch.setattr(engine_cluster, "_planned_by", kill_and_plan)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "10s"}),
        pytest.raises(ClusterError, match=r"was lost|same call goes on|does not answer"),
    ):
        api.denoise(source, tmp_path / "out.zarr", model=checkpoints["denoiser"], scheduler=address, **SETTINGS)
    assert os.listdir(tmp_path) == []

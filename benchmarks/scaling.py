"""Measure how a run scales with workers, and where the scheduler of a cluster becomes the limit.

    python -m benchmarks.scaling real         # 1 and 2 worker processes with one torch thread each
    python -m benchmarks.scaling simulated    # 1 to 64 workers whose network sleeps

The first restores a stack with a real network from store to store, and takes the rate between the first block and the
last. The second has the engine's own window, plugin and tasks on both sides of a real scheduler in a process of its
own; only what a worker does with a block is to sleep. Since all of it shares this machine's cores, the processor time
that scheduler and client spend on a block tells more about a large cluster than the rate does.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MODEL: dict[str, Any] = {
    "in_channels": 1, "out_channels": 1, "dim": 16, "blocks": (1, 1, 1, 1), "refinement_blocks": 1,
    "heads": (1, 2, 4, 8), "layer_norm": "BiasFree",
}  # fmt: skip


def real(blocks: int) -> None:
    """Measure the blocks per second of one worker and of two."""
    import torch
    import zarr
    from distributed import LocalCluster
    from safetensors.torch import save_file

    from napari_restore import api
    from napari_restore.engine.run.cluster.workers import Cluster
    from napari_restore.models.architecture import build

    Cluster.threads = 1  # type: ignore[assignment,method-assign]
    torch.manual_seed(0)
    rates = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_file(build("restormer", MODEL).state_dict(), folder / "model.safetensors")
        source = zarr.create_array(folder / "source.zarr", shape=(blocks, 512, 512), chunks=(1, 512, 512), dtype="u2")
        source[...] = np.random.default_rng(0).poisson(100, source.shape)
        for workers in (1, 2):
            with LocalCluster(n_workers=workers, threads_per_worker=2, dashboard_address=":0") as cluster:
                events = api.iter_restore(
                    folder / "source.zarr", output=folder / f"{workers}.zarr", model=folder / "model.safetensors",
                    axes="ZYX", scheduler=cluster, device="cpu", pyramid=False, workers=2, tile=256, halo=32,
                )  # fmt: skip
                times: dict[int, float] = {}
                for event in events:
                    times.setdefault(event.done, time.perf_counter())
                rates[workers] = (blocks - 4) / (times[blocks] - times[4])
            print(f"{workers} workers: {rates[workers]:.2f} blocks/s of 512 x 512", flush=True)
    print(f"ratio {rates[2] / rates[1]:.2f}")


class Crowd:
    """Processes of a simulated cluster: a scheduler, and two with all workers."""

    def __init__(self, workers: int, seconds: float) -> None:
        from distributed.utils import open_port

        port = open_port()
        self.address = f"tcp://127.0.0.1:{port}"
        line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.scheduler = subprocess.Popen([*line, "--port", str(port)], **quiet)
        shares = [share for share in (-(-workers // 2), workers // 2) if share]
        line = [sys.executable, "-m", "benchmarks.scaling", "crowd", self.address]
        line += ["--seconds", str(seconds), "--workers"]
        self.children = [subprocess.Popen([*line, str(share)], **quiet) for share in shares]

    def close(self) -> None:
        for child in (*self.children, self.scheduler):
            child.kill()
            child.wait()


@contextmanager
def crowd(workers: int, seconds: float) -> Iterator[Crowd]:
    here = Crowd(workers, seconds)
    try:
        yield here
    finally:
        here.close()


async def hold_workers(address: str, count: int, seconds: float) -> None:
    """Run many workers, which sleep instead of restoring."""
    from distributed import Worker

    from napari_restore.engine.compute.block import Receipt
    from napari_restore.engine.run.cluster import worker

    def sleep(run: Any, unit: Any) -> Receipt:
        time.sleep(seconds)
        return Receipt(unit.index, 1, seconds, run.address)

    worker._made = sleep
    workers = [Worker(address, nthreads=1, memory_limit=0, dashboard=False) for _ in range(count)]
    await asyncio.gather(*workers)
    await asyncio.gather(*(one.finished() for one in workers))


class Pool:
    """Return the workers of a simulated cluster, without a preflight."""

    shares = None

    def __init__(self, client: Any) -> None:
        self.client = client

    def workers(self) -> dict[str, int]:
        return dict.fromkeys(self.client.scheduler_info(n_workers=-1)["workers"], 1)


def simulated(counts: list[int], seconds: list[float], lasting: float) -> None:
    """Measure rate and processor time by the number of workers."""
    import psutil
    from distributed import Client

    from napari_restore.engine.run.cluster.retries import Window
    from napari_restore.engine.run.cluster.worker import Run
    from napari_restore.images.writing.layout import WriteUnit

    print("workers  s a block  blocks/s of ideal  share  ms of the scheduler  ms of the client  scheduler MB")
    for pause in seconds:
        for count in counts:
            with crowd(count, pause) as here, Client(here.address, timeout=60) as client:
                client.wait_for_workers(count, timeout=120)
                client.register_plugin(Run(None, None, 1, 1), name="simulated")  # type: ignore[arg-type]
                scheduler, client_process = psutil.Process(here.scheduler.pid), psutil.Process()
                ideal = count / pause if pause else float("inf")
                total = int(min(ideal, 2000.0) * lasting)
                window = Window(Pool(client), "simulated")
                before, own = sum(scheduler.cpu_times()[:2]), sum(client_process.cpu_times()[:2])
                began = time.perf_counter()
                done = sum(receipt is not None for receipt in window.run(WriteUnit(0, (i, 0, 0)) for i in range(total)))
                took = time.perf_counter() - began
                assert done == total and not window.failed
                spent = sum(scheduler.cpu_times()[:2]) - before, sum(client_process.cpu_times()[:2]) - own
                rate, resident = total / took, scheduler.memory_info().rss / 1e6
            print(
                f"{count:7d}{pause:11.2f}{rate:10.0f}{ideal:9.0f}{rate / ideal:7.2f}{spent[0] / total * 1e3:21.2f}"
                f"{spent[1] / total * 1e3:18.2f}{resident:14.0f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["real", "simulated", "crowd"])
    parser.add_argument("address", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, nargs="*", default=[0.5, 0.1, 0.0], help="that a block takes")
    parser.add_argument("--blocks", type=int, default=40, help="of the real run")
    parser.add_argument("--lasting", type=float, default=8.0, help="seconds of each simulated run, if it were ideal")
    given = parser.parse_args()
    if given.what == "real":
        real(given.blocks)
    elif given.what == "simulated":
        simulated(given.workers, given.seconds, given.lasting)
    else:
        asyncio.run(hold_workers(given.address, given.workers[0], given.seconds[0]))


if __name__ == "__main__":
    main()

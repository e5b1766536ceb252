"""A Dask cluster of forked processes, scheduler and workers, that can be killed and restarted at once."""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import time
from pathlib import Path
from typing import Any

import dask
import distributed

from benchmarks.faults import trials

WORKERS = 2
TTL = "3s"
"""Seconds without a heartbeat after which the scheduler gives up a worker."""


class Cluster:
    """A scheduler and its workers.

    Parameters
    ----------
    folder
        An empty one, for the scheduler's address and the workers' files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.note = folder, folder / "address"
        self.children = [trials.fork(self._schedule)]
        while not self.note.exists():
            time.sleep(0.01)
        self.address = self.note.read_text()
        self.workers = [self._worker() for _ in range(WORKERS)]

    def _schedule(self) -> None:
        async def main() -> None:
            with dask.config.set({"distributed.scheduler.worker-ttl": TTL}):
                async with distributed.Scheduler(port=0, dashboard_address=":0") as scheduler:
                    fresh = self.note.with_suffix(".new")
                    fresh.write_text(scheduler.address)
                    fresh.rename(self.note)
                    await scheduler.finished()

        asyncio.run(main())

    def _worker(self) -> trials.Child:
        async def main() -> None:
            place = str(self.folder)
            async with distributed.Worker(
                self.address, nthreads=1, memory_limit=0, dashboard_address=":0", local_directory=place
            ) as worker:
                await worker.finished()

        child = trials.fork(lambda: asyncio.run(main()))
        self.children.append(child)
        return child

    def kill_worker(self, dice: random.Random) -> None:
        """Kill one worker, and start another one."""
        worker = self.workers.pop(dice.randrange(len(self.workers)))
        self._end(worker)
        self.workers.append(self._worker())

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        self._end(self.children[0])

    def _end(self, child: trials.Child) -> None:
        self.children.remove(child)
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        os.close(child.pipe)

    def close(self) -> None:
        """Kill all remaining processes."""
        for child in list(self.children):
            os.kill(child.pid, signal.SIGCONT)
            self._end(child)


def started(campaign: Any, output: Path, address: str) -> trials.Child:
    """Start a run on a cluster, and wait until it has stored a block or has ended."""
    child = trials.fork(lambda: trials.restore(campaign.folder, output, scheduler=address) and None)
    deadline = time.monotonic() + trials.PATIENCE
    while not any(output.glob("0/c/*/*/*")) and not ended(child) and time.monotonic() < deadline:
        time.sleep(0.005)
    return child


def ended(child: trials.Child) -> bool:
    """Return whether a child has completed its result."""
    return bool(select.select([child.pipe], [], [], 0)[0])


def kill_workers(campaign: Any, row: Any, count: int) -> None:
    """Kill workers, up to four per run, and start others; the run has to complete."""
    while row.counts["trials"] < count:
        room = campaign.room()
        cluster = Cluster(campaign.folder / f"cluster-{room.name}")
        try:
            child, kills = started(campaign, room / "out.zarr", cluster.address), 0
            while kills < min(4, count - row.counts["trials"]) and not ended(child):
                cluster.kill_worker(campaign.dice)
                kills += 1
                time.sleep(campaign.dice.uniform(0.0, 0.3))
            kind, value = child.result()
            row.add(trials=kills, interrupted=kills, hangs=kind == "hang", found=kills if kind == "done" else 0)
            if kind != "done":
                row.notes.append(f"{kind}: {value}")
        finally:
            cluster.close()
        campaign.compare(row, room, campaign.whole)


def kill_schedulers(campaign: Any, row: Any, count: int) -> None:
    """Kill schedulers; the run has to end with an error, and to be resumed on another cluster."""
    while row.counts["trials"] < count:
        room = campaign.room()
        cluster = Cluster(campaign.folder / f"cluster-{room.name}")
        try:
            child = started(campaign, room / "out.zarr", cluster.address)
            time.sleep(campaign.dice.uniform(0.0, 0.1))
            alive = not ended(child)
            cluster.kill_scheduler()
            kind, value = child.result()
        finally:
            cluster.close()
        row.add(trials=alive, interrupted=alive, hangs=kind == "hang", found=alive and kind == "RestoreError")
        if alive and kind == "error":
            row.notes.append(f"no message of ours: {value}")
        second = Cluster(campaign.folder / f"cluster-{room.name}-again")
        try:
            kind, value = started(campaign, room / "out.zarr", second.address).result()
            if kind != "done":
                row.notes.append(f"not resumed: {value}")
        finally:
            second.close()
        campaign.compare(row, room, campaign.whole)


def wake_workers(campaign: Any, row: Any, count: int) -> None:
    """Suspend workers until their blocks are given to others, and continue them after the end of the run."""
    for _ in range(count):
        room = campaign.room()
        cluster = Cluster(campaign.folder / f"cluster-{room.name}")
        try:
            child = started(campaign, room / "out.zarr", cluster.address)
            worker = campaign.dice.choice(cluster.workers)
            os.kill(worker.pid, signal.SIGSTOP)
            kind, value = child.result()
            row.add(trials=1, interrupted=1, hangs=kind == "hang", found=kind == "done")
            if kind != "done":
                row.notes.append(f"{kind}: {value}")
            os.kill(worker.pid, signal.SIGCONT)
            time.sleep(1.0)
        finally:
            cluster.close()
        campaign.compare(row, room, campaign.whole)

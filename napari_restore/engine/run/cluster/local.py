"""Several devices of one machine: a process for each, and the same engine as for a cluster between them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from napari_restore.engine.hardware.device import Device
from napari_restore.errors import ClusterError

__all__ = ["processes"]

START = 60
"""Seconds that processes have to start, and after which they give up a parent that is gone."""


@contextmanager
def processes(devices: Sequence[Device], at_once: int) -> Iterator[Any]:
    """Start a scheduler in this process and a worker process for each device, which end with the ``with``.

    The workers are started by their command line: Python's own way of starting processes would run the caller's script
    once more in each of them, unless it is written with that in mind.

    Parameters
    ----------
    devices
        One for each process. A process sees its GPU alone, as the first one.
    at_once
        Blocks in progress in each process.

    Yields
    ------
    distributed.Client
        Whose workers offer ``GPU`` where they have one.

    Raises
    ------
    ClusterError
        If a process does not start.
    """
    from distributed import Client, LocalCluster

    children: list[subprocess.Popen[bytes]] = []
    # Of LocalCluster only the scheduler is wanted, which listens on this machine alone, and on ports that are free.
    cluster: Any = LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=":0")  # type: ignore[no-untyped-call]
    with cluster, Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        try:
            children += [_start(device, cluster.scheduler_address, at_once) for device in devices]
            try:
                client.wait_for_workers(len(devices), timeout=START)
            except TimeoutError as error:
                raise ClusterError(
                    f"no process has started for one of {', '.join(map(str, devices))} within {START} s."
                ) from error
            yield client
        finally:
            for child in children:
                child.terminate()
            for child in children:
                _wait(child)


def _start(device: Device, address: str, at_once: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "distributed.cli.dask_worker", address, "--name", f"{device}-{os.urandom(3).hex()}",
        "--nthreads", str(at_once), "--memory-limit", "0", "--no-dashboard", "--death-timeout", str(START),
    ]  # fmt: skip
    environment = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "error"}
    if device.is_cuda:
        command += ["--resources", "GPU=1"]
        environment["CUDA_VISIBLE_DEVICES"] = _visible(device)
    # In a session of its own: Ctrl+C is for the caller, who then stops the workers in order.
    return subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)


def _visible(device: Device) -> str:
    """Name a GPU for another process, if this one does not see all of them."""
    number = device.index or 0
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return seen.split(",")[number] if seen else str(number)


def _wait(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

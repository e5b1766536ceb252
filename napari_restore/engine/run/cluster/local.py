"""Use several devices of one machine: a Dask worker process for each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from napari_restore.engine.hardware.device import Device
from napari_restore.errors import ClusterError

__all__ = ["processes"]

START = 60
"""Seconds that worker processes have to start, and after which they end if the scheduler is lost."""
END = 10.0
"""Seconds that all worker processes have to end before they are killed."""


@contextmanager
def processes(devices: Sequence[Device], at_once: int) -> Iterator[Any]:
    """Start a scheduler in this process and a worker process for each device, until the ``with`` statement ends.

    The workers are started by their command line, because `multiprocessing` would run the caller's script again in each
    worker if the script has no ``if __name__ == "__main__"``.

    Parameters
    ----------
    devices : sequence of Device
        One for each process. A process sees only its GPU, as ``cuda:0``.
    at_once : int
        Number of blocks in progress in each process.

    Yields
    ------
    distributed.Client
        A client whose workers offer the resource ``GPU`` if they have one.

    Raises
    ------
    ClusterError
        If a process does not start.
    """
    from distributed import Client, LocalCluster

    children: list[subprocess.Popen[bytes]] = []
    # LocalCluster without workers: a scheduler that listens on free ports of this machine only.
    cluster: Any = LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=":0")  # type: ignore[no-untyped-call]
    with cluster, Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        try:
            children += [_start(device, cluster.scheduler_address, at_once) for device in devices]
            try:
                client.wait_for_workers(len(devices), timeout=START)
            except TimeoutError as error:
                raise ClusterError(
                    f"a worker process for one of {', '.join(map(str, devices))} has not started within {START} s; "
                    "look at the messages above, or choose one device."
                ) from error
            yield client
        finally:
            for child in children:
                child.terminate()
            deadline = time.monotonic() + END
            for child in children:
                _wait(child, max(0.0, deadline - time.monotonic()))


def _start(device: Device, address: str, at_once: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "distributed.cli.dask_worker", address, "--name", f"{device}-{os.urandom(3).hex()}",
        "--nthreads", str(at_once), "--memory-limit", "0", "--no-dashboard", "--death-timeout", str(START),
    ]  # fmt: skip
    environment = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "error"}
    if device.is_cuda:
        command += ["--resources", "GPU=1"]
        environment["CUDA_VISIBLE_DEVICES"] = _visible(device)
    # In a separate session, so that Ctrl+C reaches only the caller, which then stops the workers in order.
    return subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)


def _visible(device: Device) -> str:
    """Return the CUDA_VISIBLE_DEVICES of another process for a GPU. This process may see only some of the GPUs."""
    number = device.index or 0
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return seen.split(",")[number] if seen else str(number)


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()

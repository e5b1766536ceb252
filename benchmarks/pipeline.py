"""Compare a whole job, from store to store, with the bare network on tiles in memory.

    python -m benchmarks.pipeline                                  # all cases; several minutes on two cores
    python -m benchmarks.pipeline --cases medium --seconds 30
    python -m benchmarks.pipeline --peers                          # with what else there is, where it is installed
    python -m benchmarks.pipeline --device cuda                    # one lane; what the GPU waits is not seen
    python -m benchmarks.pipeline --cases nothing                  # what a pixel costs besides the network
    python -m benchmarks.pipeline --digests 5 --cases fast medium  # what the digests of stored objects cost

Each case is a network with seeded or bundled weights and a stack of uint16 planes in a Zarr. In one process and in
turn, twice each: the bare network on resident tiles, one call after the other with all threads ("bare") and as many
concurrent calls as there are cores, with one thread each ("bare, lanes"); then the whole job with the settings that
`napari_restore.api.plan` chooses: read, normalise, restore, blend, convert, compress, write, and make all levels.

Columns: pixels/s of tiles of the bare network; output pixels of the job per second, divided by those of the bare
network ("job/bare"), and the same with every pixel of a tile counted, halo included ("after halo"); the share of time
that concurrent batches wait; bytes read, divided by the bytes of the volume; seconds until the first block is stored;
resident memory at its peak above that before the run, and the most that the plan says it is.

The case "nothing" is the default denoiser with a network that returns its input. Its row has the nanoseconds of
processor time for each pixel of a whole job, in all threads together, and the pixels per second.

With ``--digests N``, the job runs N times with digests of its stored objects and N times without them, in turn. The
columns are then job/bare without and with them, both of the fastest runs; the median of the N ratios of runs in turn
(without / with, so less than 1 if digests cost time); and the share of the job's time that is spent in digests.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import nn

from napari_restore import api
from napari_restore.engine.compute.predictor import Predictor, predictor_of
from napari_restore.engine.hardware.devices import set_own_threads
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.run.local import build_pyramid, run_blocks
from napari_restore.engine.store.sinks import OmeZarrSink
from napari_restore.models.architecture import build

GRAY: dict[str, Any] = {"in_channels": 1, "out_channels": 1, "layer_norm": "BiasFree"}
CASES: dict[str, tuple[str, Any, tuple[int, int, int]]] = {
    "fast": ("swinir", {"in_channels": 1, "embed_dim": 8, "depths": (1,), "heads": (1,), "window": 8, "head": "none"},
             (4, 2048, 2048)),
    "medium": ("restormer-denoise-light", None, (6, 768, 768)),
    "slow": ("restormer", GRAY | {"dim": 24, "blocks": (2, 3, 3, 4), "refinement_blocks": 2, "heads": (1, 2, 4, 8)},
             (4, 560, 560)),
    "fast x2": ("swinir", {"in_channels": 1, "embed_dim": 8, "depths": (1,), "heads": (1,), "window": 8, "scale": 2,
                           "head": "pixelshuffledirect"}, (4, 1024, 1024)),
    "medium x2": ("swinir-x2-light", None, (4, 560, 560)),
    "slow x2": ("swinir", {"in_channels": 1, "embed_dim": 60, "depths": (6, 6), "heads": (6, 6), "window": 8,
                           "scale": 2, "head": "pixelshuffledirect"}, (3, 432, 432)),
}  # fmt: skip
"""Network, hyper-parameters (None: bundled weights), shape of the source."""
NOTHING, PLANES = "nothing", (8, 2048, 2048)
"""Case of a network that costs nothing, and the shape of its source."""


def write_source(path: Path, shape: tuple[int, int, int]) -> None:
    """Make a stack of blobs with photon noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: shape[1], : shape[2]]
    blobs = 200 + 800 * np.sin(y / 29) ** 2 * np.cos(x / 23) ** 2
    array = zarr.create_array(path, shape=shape, dtype=np.uint16, chunks=(1, 512, 512))
    for z in range(shape[0]):
        array[z] = rng.poisson(np.roll(blobs, 7 * z, axis=1)).astype(np.uint16)


def model_of(case: str, folder: Path) -> str:
    """Name of a bundled model, or path of a seeded one."""
    from safetensors.torch import save_file

    architecture, hyperparameters, _ = CASES[case]
    if hyperparameters is None:
        return architecture
    torch.manual_seed(0)
    path = folder / "network.safetensors"
    save_file(build(architecture, hyperparameters).state_dict(), path)  # type: ignore[arg-type]
    return str(path)


class Counted:
    """A source that counts the bytes that are read."""

    def __init__(self, data: Any) -> None:
        self.data, self.shape, self.dtype, self.bytes = data, data.shape, data.dtype, 0
        self._lock = threading.Lock()

    def __getitem__(self, region: tuple[slice, ...]) -> Any:
        pixels = self.data[region]
        with self._lock:
            self.bytes += pixels.nbytes
        return pixels


class Timed(nn.Module):
    """A network that adds up its run time."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seconds = network, 0.0
        self._lock = threading.Lock()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        began = time.perf_counter()
        result: torch.Tensor = self.network(x)
        with self._lock:
            self.seconds += time.perf_counter() - began
        return result


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Peak of the resident bytes above those at the start, sampled every 5 ms."""
    import psutil

    process, stop = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not stop.wait(0.005):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: float(most - before)
    finally:
        stop.set()
        watcher.join()


def bare(network: nn.Module, plan: Plan, lanes: int, seconds: float) -> float:
    """Measure pixels per second of tiles in memory, in `lanes` concurrent calls."""
    threads = torch.get_num_threads()
    tiles = torch.rand(plan.recipe.batch or 1, plan.card.in_channels, *plan.grid.tile_shape).to(str(plan.device))

    def wait() -> None:
        if plan.device.is_cuda:
            torch.cuda.synchronize()

    def call(until: float) -> int:
        set_own_threads(max(1, threads // lanes))
        torch.set_flush_denormal(True)
        done = 0
        with torch.inference_mode():
            while not done or time.perf_counter() < until:
                network(tiles)
                wait()
                done += 1
        return done

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(call, [0.0] * lanes))
        began = time.perf_counter()
        done = sum(pool.map(call, [began + seconds] * lanes))
        spent = time.perf_counter() - began
    return done * tiles.numel() / spent


def job(plan: Plan, output: Path) -> dict[str, float]:
    """Run the whole job and measure it."""
    shutil.rmtree(output, ignore_errors=True)
    source = Counted(plan.image.data)
    plan = replace(plan, image=replace(plan.image, data=source))
    predictor: Predictor = predictor_of(plan)
    network = predictor._network
    timed = predictor._network = Timed(network)
    processor = time.process_time()
    first = 0.0
    with peak_memory() as peak:
        began = time.perf_counter()
        with OmeZarrSink(plan, output) as sink:
            for event in run_blocks(plan, sink):
                first = first or (time.perf_counter() - began if event.done else 0.0)
            restored = time.perf_counter() - began
            for _ in build_pyramid(sink):
                pass
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    predictor._network = network
    return {
        "seconds": seconds, "processor": processor, "first": first, "peak": peak(), "read": source.bytes,
        # A GPU's lane does not wait for the network.
        "waits": 1 - timed.seconds / restored / (plan.recipe.lanes or 1) if plan.device.is_cpu else float("nan"),
    }  # fmt: skip


def plain_loop(network: nn.Module, plan: Plan, source: Path, output: Path) -> None:
    """Restore as a simple script does: plane by plane, tile by tile, and write the stack at the end."""
    from napari_restore.tiling.blend import Canvas, cut_tile

    planes = np.asarray(zarr.open_array(source, mode="r")[...]).astype(np.float32) / 1000
    scale, grid = plan.card.scale, plan.grid
    result = np.empty(plan.shape, np.uint16)
    for z, plane in enumerate(planes):
        canvas = Canvas(grid, (0, plan.shape[1]), (0, plan.shape[2]), scale=scale)
        for ky, kx in canvas.tiles():
            with torch.inference_mode():
                tile = torch.from_numpy(np.ascontiguousarray(cut_tile(plane, (0, 0), grid, ky, kx)))
                canvas.add(ky, kx, network(tile[None, None])[0].numpy())
            for first, rows in canvas.finished():
                result[z, first : first + rows.shape[1]] = np.clip(np.rint(rows[0] * 1000), 0, 65535)
    zarr.create_array(output, data=result, chunks=(1, 512, 512))


def dask_overlap(network: nn.Module, plan: Plan, source: Path, output: Path) -> None:
    """`dask.array.map_overlap` with chunks that are tiles with their halo, into `to_zarr`; two threads."""
    import dask.array as da

    if plan.card.scale > 1:
        raise NotImplementedError("map_overlap does not trim a result that is larger")
    halo = plan.grid.y.halo
    inner = plan.grid.tile_shape[0] - 2 * halo

    def restore(block: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tile = torch.from_numpy(block.astype(np.float32) / 1000)[:, None]
            return np.clip(np.rint(network(tile)[:, 0].numpy() * 1000), 0, 65535).astype(np.uint16)

    stack = da.from_zarr(str(source)).rechunk((1, inner, inner))
    result = stack.map_overlap(restore, depth=(0, halo, halo), boundary="reflect", dtype=np.uint16)
    result.to_zarr(str(output))


def monai_window(network: nn.Module, plan: Plan, source: Path, output: Path) -> None:
    """MONAI's sliding_window_inference, plane by plane."""
    from monai.inferers import sliding_window_inference

    array = zarr.open_array(source, mode="r")
    result = zarr.create_array(output, shape=plan.shape, dtype=np.uint16, chunks=(1, 512, 512))
    grid = plan.grid.y
    for z in range(array.shape[0]):
        plane = torch.from_numpy(np.asarray(array[z]).astype(np.float32) / 1000)[None, None]
        with torch.inference_mode():
            restored = sliding_window_inference(
                plane, plan.grid.tile_shape, 1, network, overlap=1 - grid.stride / grid.size, mode="gaussian"
            )
        result[z] = np.clip(np.rint(restored[0, 0].numpy() * 1000), 0, 65535).astype(np.uint16)


PEERS = {"plain loop": plain_loop, "dask map_overlap": dask_overlap, "MONAI": monai_window}


def measure(case: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Print the rows of a case, and return its figures."""
    source = folder / "source.zarr"
    planes, height, width = CASES[case][2]
    write_source(source, (given.planes or planes, height, width))
    plan = api.plan(
        source, model=model_of(case, folder), axes="ZYX", value_range=(0, 1000), device=given.device,
        memory_budget=given.memory,
    )  # fmt: skip
    lanes, pixels = plan.recipe.lanes or 1, float(np.prod(plan.image.shape))
    network = predictor_of(plan)._network
    jobs, plain, in_lanes = [], [], []
    for _ in range(given.repeats):
        plain.append(bare(network, plan, 1, given.seconds))
        in_lanes.append(bare(network, plan, lanes, given.seconds) if lanes > 1 else plain[-1])
        jobs.append(job(plan, folder / "result.zarr"))
    best = min(jobs, key=lambda one: one["seconds"])
    of_bare, of_lanes = (pixels / best["seconds"] / max(rates) for rates in (plain, in_lanes))
    share = plan.tile_share
    found = {
        "case": case, "bare": max(plain), "lanes": max(in_lanes), "seconds": best["seconds"], "tiles": share,
        "job_to_bare": of_bare, "after_halo": of_bare * share, "of_lanes": of_lanes * share,
        "waits": best["waits"] if plan.device.is_cpu else None,
        "read": best["read"] / plan.image.nbytes, "first": best["first"], "peak": max(one["peak"] for one in jobs),
        "planned": plan.memory_bytes, "why": plan.why["device"],
    }  # fmt: skip
    print(
        f"{case:<11}{max(plain) / 1e3:9.0f}{max(in_lanes) / 1e3:9.0f}{best['seconds']:8.1f}{share:7.2f}{of_bare:8.2f}"
        f"{of_bare * share:8.2f}{of_lanes * share:9.2f}{best['waits']:8.1%}{found['read']:7.2f}{best['first']:8.1f}"
        f"{found['peak'] / 1e6:8.0f}{plan.memory_bytes / 1e6:8.0f}",
        flush=True,
    )
    for name, peer in PEERS.items() if given.peers else ():
        shutil.rmtree(folder / "peer.zarr", ignore_errors=True)
        try:
            with peak_memory() as peak:
                began = time.perf_counter()
                peer(network, plan, source, folder / "peer.zarr")
                spent = time.perf_counter() - began
        except (ImportError, NotImplementedError) as error:
            print(f"  {name}: not run ({error})", flush=True)
            continue
        print(f"  {name}: {spent:.1f} s, {pixels / spent / max(plain):.2f} of bare; {peak() / 1e6:.0f} MB", flush=True)
    return found


def measure_nothing(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Print what a pixel of a job costs besides the network, and return the figures."""
    source = folder / "source.zarr"
    write_source(source, (given.planes or PLANES[0], *PLANES[1:]))
    plan = api.plan(source, axes="ZYX", value_range=(0, 1000), device=given.device, memory_budget=given.memory)
    predictor = predictor_of(plan)
    network, predictor._network = predictor._network, nn.Identity()
    jobs = [job(plan, folder / "result.zarr") for _ in range(given.repeats + 1)]
    predictor._network = network  # other cases share it
    best, pixels = min(jobs, key=lambda one: one["processor"]), float(np.prod(plan.image.shape))
    cost, rate = best["processor"] / pixels * 1e9, pixels / min(one["seconds"] for one in jobs)
    print(f"{NOTHING:<11}{cost:9.1f} ns of a core for each pixel, {rate / 1e6:.1f} Mpixel/s", flush=True)
    return {"case": NOTHING, "ns": cost, "rate": rate, "tiles": plan.tile_share, "planned": plan.memory_bytes}


@contextmanager
def digests(wanted: bool) -> Iterator[Callable[[], float]]:
    """Switch the digests of stored objects on or off, and yield a function that returns the seconds spent in them."""
    from napari_restore.images.writing import unit_writer

    original, spent, lock = unit_writer.record_digest, [0.0], threading.Lock()

    def recorded(*arguments: Any) -> None:
        began = time.perf_counter()
        if wanted:
            original(*arguments)
        with lock:
            spent[0] += time.perf_counter() - began

    unit_writer.record_digest = recorded  # type: ignore[assignment]
    try:
        yield lambda: spent[0]
    finally:
        unit_writer.record_digest = original


def measure_digests(case: str, folder: Path, seconds: float, rounds: int, memory: int | None) -> None:
    """Print the row of a case with ``--digests``."""
    source = folder / "source.zarr"
    write_source(source, CASES[case][2])
    plan = api.plan(
        source, model=model_of(case, folder), axes="ZYX", value_range=(0, 1000), device="cpu", memory_budget=memory
    )
    network, pixels = predictor_of(plan)._network, float(np.prod(plan.image.shape))
    job(plan, folder / "result.zarr")  # to warm up
    rate, took, spent = 0.0, {True: [0.0] * 0, False: [0.0] * 0}, 0.0
    for number in range(rounds):
        rate = max(rate, bare(network, plan, 1, seconds))
        for wanted in (True, False) if number % 2 else (False, True):
            with digests(wanted) as in_digests:
                took[wanted].append(job(plan, folder / "result.zarr")["seconds"])
            spent += in_digests() if wanted else 0.0
    of_bare = {wanted: pixels / min(took[wanted]) / rate for wanted in took}
    ratio = float(np.median(np.divide(took[False], took[True])))
    share = spent / sum(took[True])
    print(
        f"{case:<11}{rate / 1e3:10.0f}{of_bare[False]:10.3f}{of_bare[True]:8.3f}{ratio:10.3f}{share:10.2%}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Whole job against the bare network.")
    parser.add_argument("--cases", nargs="*", choices=[*CASES, NOTHING], default=[*CASES, NOTHING])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each measurement of the bare network")
    parser.add_argument("--memory", type=int, help="budget in bytes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--planes", type=int, help="planes of each stack; by default those of the case")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures there as well, after each case")
    parser.add_argument("--peers", action="store_true", help="measure plain loop, dask and MONAI too")
    parser.add_argument("--digests", type=int, metavar="N", help="measure the digests of stored objects, N times")
    given = parser.parse_args()
    if given.digests:
        print("                bare      job/bare        without/   share of")
        print("network     kpixel/s   without    with      with    digests")
        for case in given.cases:
            with tempfile.TemporaryDirectory() as folder:
                measure_digests(case, Path(folder), given.seconds, given.digests, given.memory)
        return
    print(
        "            kpixel/s of tiles        tiles/   job/   after    of lanes  lanes  read/  first    peak  planned"
    )
    print("network        bare    lanes   job s  image    bare    halo  aft. halo  wait  volume  block s    MB      MB")
    rows = []
    for case in given.cases:
        with tempfile.TemporaryDirectory() as folder:
            rows.append((measure_nothing if case == NOTHING else partial(measure, case))(Path(folder), given))
        if given.json:
            given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

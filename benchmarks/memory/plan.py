"""Compare the peak memory of runs with their plans, for many kinds of sources and settings.

    python -m benchmarks.memory.plan                       # all configurations; several minutes
    python -m benchmarks.memory.plan --only zarr --seconds 5
    python -m benchmarks.memory.plan --keep FOLDER         # sources are kept there, and used again

Every run is planned and executed in a separate process, which has imported the package and loaded the weights before.
Columns: the most that the plan says; the peak of the resident memory, above that before planning, while the run was
planned, and at all; the latter divided by the plan. A configuration with a budget must stay within the budget or be
refused before its source is read. The exit code is 1 if a run took more than its plan or its budget.

Linux only.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.torch
import tifffile
import torch
import zarr

from benchmarks.faults import trials
from benchmarks.memory.resident import memory
from napari_restore import api
from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.errors import RestoreError
from napari_restore.models.architecture import build

__all__ = ["CONFIGURATIONS", "Configuration", "main"]

MODELS: dict[str, dict[str, Any]] = {
    "gray": trials.NETWORK,
    "rgb": trials.NETWORK | {"in_channels": 3},
    "x2": trials.NETWORK | {"scale": 2, "head": "pixelshuffledirect"},
}


@dataclass(frozen=True)
class Configuration:
    """A source, and the settings of its run.

    Attributes
    ----------
    name : str
        Name in the table.
    write : callable
        Writes the source to a path.
    ending : str
        File name extension of the source.
    model : str
        Key of `MODELS`.
    settings : dict
        Settings of the run.
    """

    name: str
    write: Callable[[Path], Any]
    ending: str
    model: str = "gray"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def budget(self) -> float | None:
        """Memory budget in megabytes."""
        given = self.settings.get("memory_budget")
        return given / 1e6 if given else None


def noise(shape: tuple[int, ...], dtype: str = "u2") -> Any:
    """Make an image of photon noise from one tile of it."""
    tile = np.random.default_rng(0).poisson(100, (512, 512)).astype(dtype)
    plane = np.tile(tile, (-(-shape[-2] // 512), -(-shape[-1] // 512)))[: shape[-2], : shape[-1]]
    return np.broadcast_to(plane, shape)


def _tiff(shape: tuple[int, ...], dtype: str = "u2", axes: str = "YX", **given: Any) -> Callable[[Path], Any]:
    settings = {"photometric": "minisblack", "metadata": {"axes": axes}} | given
    return lambda path: tifffile.imwrite(path, np.ascontiguousarray(noise(shape, dtype)), **settings)


def _rgb(path: Path) -> None:
    pixels = np.ascontiguousarray(np.moveaxis(noise((3, 3072, 3072), "u1"), 0, -1))
    tifffile.imwrite(path, pixels, photometric="rgb", compression="deflate", rowsperstrip=3072)


def _zarr(
    shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str = "u2", codec: Any = "zstd", axes: str = "yx",
    **given: Any,
) -> Callable[[Path], Any]:  # fmt: skip
    compressors = zarr.codecs.ZstdCodec(level=0, checksum=True) if codec == "zstd" else codec

    def write(path: Path) -> None:
        array = zarr.create_array(
            path, shape=shape, chunks=chunks, dtype=dtype, compressors=compressors, dimension_names=tuple(axes), **given
        )
        array[...] = noise(shape, dtype)

    return write


def _hdf5(shape: tuple[int, ...], axes: str = "yx", **given: Any) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("d", data=noise(shape), **given)
            for axis, label in enumerate(axes):
                dataset.dims[axis].label = label

    return write


SIDE = (4096, 4096)
SMALL = {"shards": (512, 512), "chunks": (512, 512)}
"""Blocks that are much smaller than the chunks of the source."""
STACK = {"chunks": (8, 1024, 1024), "axes": "zyx"}
MB = 10**6


def _small(name: str, write: Callable[[Path], Any], ending: str) -> Configuration:
    return Configuration(name, write, ending, settings=SMALL)


CONFIGURATIONS = (
    Configuration("TIFF, uncompressed", _tiff(SIDE), ".tif"),
    _small("TIFF, one strip, Deflate", _tiff(SIDE, compression="deflate", rowsperstrip=4096), ".tif"),
    _small("TIFF, one strip, LZW", _tiff(SIDE, compression="lzw", rowsperstrip=4096, predictor=True), ".tif"),
    _small("TIFF, one tile, Zstandard", _tiff(SIDE, compression="zstd", tile=SIDE), ".tif"),
    Configuration("TIFF, strips of one row", _tiff(SIDE, compression="deflate", rowsperstrip=1), ".tif"),
    Configuration("TIFF, RGB, one strip", _rgb, ".tif", "rgb"),
    Configuration("TIFF, 3 channels, 4 planes", _tiff((3, 4, 1024, 1024), axes="CZYX", ome=True), ".ome.tif"),
    _small("Zarr, one chunk", _zarr((6144, 6144), (6144, 6144)), ".zarr"),
    _small("Zarr, one chunk, uncompressed", _zarr((6144, 6144), (6144, 6144), codec=None), ".zarr"),
    _small("Zarr, one chunk, gzip", _zarr(SIDE, SIDE, codec=zarr.codecs.GzipCodec(level=1)), ".zarr"),
    _small("Zarr, one chunk, Blosc", _zarr(SIDE, SIDE, codec=zarr.codecs.BloscCodec()), ".zarr"),
    _small("Zarr, one chunk, float64", _zarr(SIDE, SIDE, "f8"), ".zarr"),
    Configuration("Zarr, chunks of 16 x 16", _zarr((1024, 1024), (16, 16)), ".zarr"),
    Configuration("Zarr, chunk of 8 planes", _zarr((8, 1024, 1024), **STACK), ".zarr"),
    Configuration("Zarr, chunk of 6 channels", _zarr((6, 1024, 1024), (6, 1024, 1024), axes="cyx"), ".zarr"),
    _small("Zarr, one shard of 256 chunks", _zarr(SIDE, (256, 256), shards=SIDE), ".zarr"),
    _small("HDF5, one chunk, gzip", _hdf5(SIDE, chunks=SIDE, compression="gzip", compression_opts=1), ".h5"),
    Configuration("HDF5, contiguous, 8 planes", _hdf5((8, 1024, 1024), "zyx"), ".h5"),
    Configuration("x2, chunk of 8 planes", _zarr((8, 1024, 1024), **STACK), ".zarr", "x2"),
    Configuration("x2, uncompressed TIFF", _tiff(SIDE), ".tif", "x2"),
    Configuration("neighbours along Z", _zarr((8, 1024, 1024), **STACK), ".zarr", settings={"neighbours": "Z"}),
    Configuration("neighbours, OME-TIFF along T", _tiff((9, 1024, 1024), axes="TYX", ome=True), ".ome.tif",
                  settings={"neighbours": "T"}),
    Configuration("six blocks at a time", _zarr(SIDE, (1024, 1024)), ".zarr", settings={"workers": 6}),
    Configuration("tiles of 1024", _zarr(SIDE, (1024, 1024)), ".zarr", settings={"tile": 1024}),
    Configuration("OME-Zarr 0.4", _zarr(SIDE, SIDE), ".zarr", settings={"ome_version": "0.4"}),
    Configuration("300 MB: Zarr", _zarr(SIDE, (1024, 1024)), ".zarr", settings={"memory_budget": 300 * MB}),
    Configuration("300 MB: one chunk of 75 MB", _zarr((6144, 6144), (6144, 6144)), ".zarr",
                  settings=SMALL | {"memory_budget": 300 * MB}),
    Configuration("300 MB: strip, LZW", _tiff(SIDE, compression="lzw", rowsperstrip=4096, predictor=True), ".tif",
                  settings=SMALL | {"memory_budget": 300 * MB}),
    Configuration("300 MB: x2, uncompressed TIFF", _tiff(SIDE), ".tif", "x2", {"memory_budget": 300 * MB}),
    Configuration("300 MB: neighbours along Z", _zarr((8, 1024, 1024), (1, 256, 256), axes="zyx"), ".zarr",
                  settings={"memory_budget": 300 * MB, "neighbours": "Z"}),
)  # fmt: skip


def measure(source: Path, model: Path, output: Path, settings: dict[str, Any], seconds: float) -> dict[str, float]:
    """Plan and run in this process, and return megabytes; "refused" is 1 if the plan was refused."""
    warm = api.plan(np.zeros((64, 64), np.uint16), axes="YX", model=model, device="cpu", value_range=(0, 1))
    warm = predictor_of(warm) and gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = memory("VmRSS")
    try:
        plan = api.plan(source, model=model, device="cpu", **settings)
    except RestoreError:
        return {"refused": 1, "planning": (memory("VmHWM") - before) / 1e6}
    planning, began, done = memory("VmHWM") - before, time.monotonic(), 0
    for event in api.run(plan, output):
        done = event.done
        if seconds and done >= 2 and time.monotonic() - began > seconds:
            break
    peak = memory("VmHWM") - before
    return {"planned": plan.memory_bytes / 1e6, "planning": planning / 1e6, "peak": peak / 1e6, "blocks": done}


def campaign(folder: Path, chosen: list[Configuration], seconds: float) -> int:
    """Measure configurations, print a line for each, and return the number of those that took too much."""
    bad, output = 0, folder / "result.zarr"
    for name, hyperparameters in MODELS.items():
        torch.manual_seed(0)
        safetensors.torch.save_file(build("swinir", hyperparameters).state_dict(), folder / f"{name}.safetensors")
    print(
        f"{'':<34}{'planned MB':>11}{'planning':>10}{'peak':>8}{'peak/plan':>11}{'budget':>8}{'blocks':>8}", flush=True
    )
    for number, one in enumerate(CONFIGURATIONS):
        if one not in chosen:
            continue
        source = folder / f"{number}{one.ending}"
        if not source.exists():
            kind, value = trials.fork(lambda one=one, source=source: one.write(source) and None).result(300)
            assert kind == "done", value
        model = folder / f"{one.model}.safetensors"
        kind, found = trials.fork(
            lambda one=one, source=source, model=model: measure(source, model, output, one.settings, seconds)
        ).result(600)
        shutil.rmtree(output, ignore_errors=True)
        bad += (verdict := _verdict(kind, found, one.budget)) != ""
        figures = {"planned": 0.0, "planning": 0.0, "peak": 0.0, "blocks": 0} | (found if kind == "done" else {})
        ratio = f"{figures['peak'] / figures['planned']:.2f}" if figures["planned"] else "refused"
        print(
            f"{one.name:<34}{figures['planned']:>11.0f}{figures['planning']:>10.0f}{figures['peak']:>8.0f}"
            f"{ratio:>11}{one.budget or 0:>8.0f}{figures['blocks']:>8.0f}  {verdict}",
            flush=True,
        )
    return bad


def _verdict(kind: str, found: Any, budget: float | None) -> str:
    """Say what is wrong; "" if nothing is."""
    if kind != "done":
        return f"{kind}: {found}"
    most = max(found["planning"], found.get("peak", 0))
    if most > (budget or most) or most > found.get("planned", most):
        return "TOO MUCH"
    return "" if budget or "refused" not in found else "refused without a budget"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.memory.plan", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the names of configurations")
    parser.add_argument(
        "--seconds", type=float, default=0, help="stop each run after that and two blocks; 0: run to the end"
    )
    parser.add_argument("--keep", type=Path, help="folder for the sources")
    given = parser.parse_args()
    chosen = [one for one in CONFIGURATIONS if given.only.lower() in one.name.lower()]
    with tempfile.TemporaryDirectory() as folder:
        place = given.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        bad = campaign(place, chosen, given.seconds)
    print(f"{bad} of {len(chosen)} took more than they may")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

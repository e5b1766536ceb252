"""Measure the memory of a run for any size of the volume, and the cost of planning a very large one.

    python -m benchmarks.memory                      # 0.5, 1 and 2 GB, as TIFF and as Zarr
    python -m benchmarks.memory --sizes 1 4 16 1000 --kinds linked virtual --blocks 8    # a few blocks of each
    python -m benchmarks.memory --sizes 0.25 --kinds tiff
    python -m benchmarks.memory --sizes              # planning only

Each volume is a stack of uint16 planes of 4096 x 4096 pixels, written plane by plane to a temporary folder. It goes
through a Restormer with one transformer block, with the settings that `napari_restore.api` would choose, in a process
of its own. The column to look at is the peak of the resident memory above what ``import torch`` alone takes. Linux
only.

"linked" is a Zarr on the disk whose chunks are all hard links to one file: it is read and decoded like any other, and
takes no room. "virtual" is a source that makes its pixels when they are asked for. Of both, up to 16 GB are linked and
more is virtual, and with ``--blocks`` a run is stopped after so many of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory.resident import memory

SIDE = 4096
MODEL: dict[str, Any] = {
    "in_channels": 1, "out_channels": 1, "dim": 2, "blocks": (0, 0, 0, 1), "refinement_blocks": 0,
    "heads": (1, 1, 1, 1), "layer_norm": "BiasFree",
}  # fmt: skip
"""Only one block, in the middle, of an image an eighth as wide: a gigapixel takes minutes."""


def planes(count: int) -> Iterator[np.ndarray]:
    plane = np.random.default_rng(0).integers(0, 1000, (SIDE, SIDE), np.uint16)
    for z in range(count):
        yield np.roll(plane, z, axis=1)


def write_volume(path: Path, count: int) -> None:
    """Write an uncompressed volume plane by plane."""
    if path.suffix == ".tif":
        import tifffile

        tifffile.imwrite(
            path, planes(count), shape=(count, SIDE, SIDE), dtype=np.uint16, bigtiff=True, metadata={"axes": "ZYX"}
        )
        return
    import zarr

    chunks = (1, 1024, 1024)
    array = zarr.create_array(path, shape=(count, SIDE, SIDE), dtype=np.uint16, chunks=chunks, compressors=None)
    for z, plane in enumerate(planes(count)):
        array[z] = plane


def link_volume(path: Path, count: int) -> None:
    """Make a Zarr whose chunks are hard links to one file."""
    import os

    import zarr

    chunk = 512
    array = zarr.create_array(path, shape=(count, SIDE, SIDE), dtype=np.uint16, chunks=(1, chunk, chunk))
    array[0, :chunk, :chunk] = next(planes(1))[:chunk, :chunk]
    first = path / "c/0/0/0"
    for z in range(count):
        for y in range(SIDE // chunk):
            (path / f"c/{z}/{y}").mkdir(parents=True, exist_ok=True)
            for x in range(SIDE // chunk):
                if z or y or x:
                    os.link(first, path / f"c/{z}/{y}/{x}")


class Virtual:
    """A volume that computes its pixels when they are read."""

    def __init__(self, count: int) -> None:
        self.shape, self.dtype = (count, SIDE, SIDE), np.dtype(np.uint16)
        self.tile = np.random.default_rng(0).integers(0, 1000, (512, 512), np.uint16)

    def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
        _, rows, columns = (np.arange(part.start, part.stop) % 512 for part in region)
        return np.stack([self.tile[np.ix_(rows, columns)]] * (region[0].stop - region[0].start))


def opened(source: Path) -> Any:
    """Open the source on the disk, or a virtual one with the number of planes in its name."""
    from napari_restore.images.image import Image
    from napari_restore.images.opening import open_image

    if source.suffix != ".virtual":
        return open_image(source, axes="ZYX")
    return Image(Virtual(int(source.stem)), "ZYX", chunks=(1, 512, 512))


def run(folder: Path, source: Path, blocks: int) -> dict[str, float]:
    """Restore the volume, or its first blocks, in this process, and report memory and time."""
    import torch

    before = memory("VmRSS")
    from safetensors.torch import save_file

    from napari_restore.engine.planning.planner import make_plan
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.engine.run.local import build_pyramid, run_blocks
    from napari_restore.engine.store.sinks import OmeZarrSink
    from napari_restore.models.architecture import build
    from napari_restore.models.card import ModelCard
    from napari_restore.models.checkpoint import file_digest

    torch.manual_seed(0)
    weights = folder / "one-block.safetensors"
    save_file(build("restormer", MODEL).state_dict(), weights)
    card = ModelCard(
        name="one-block", title="one block", task="other", architecture="restormer", hyperparameters=MODEL, scale=1,
        in_channels=1, out_channels=1, noise="none", licence="none", paper="none", weights=str(weights),
        sha256=file_digest(weights), alignment=8, tile=512, halo=16, blend=32, exact_tiles=False, minimum_size=8,
        bytes_per_pixel=MODEL["dim"] * 240,
    )  # fmt: skip
    plan = make_plan(opened(source), card, make_recipe(model=card.name, axes="ZYX"))
    if blocks:  # the result of a terabyte will not be written
        from napari_restore.engine.store import resume as output

        output._check_space = lambda *_: None
    began = time.perf_counter()
    first = 0.0
    with OmeZarrSink(plan, folder / "result.zarr") as sink:
        events = run_blocks(plan, sink)
        for event in events:
            first = first or (time.perf_counter() - began if event.done else 0.0)
            if blocks and event.done >= blocks:
                events.close()
                break
        restored = memory("VmHWM")
        if not blocks:
            for _ in build_pyramid(sink):
                pass
    return {
        "volume": plan.image.nbytes,
        "workers": plan.recipe.workers or 0,
        "planned": plan.memory_bytes,
        "restoring": restored - before,
        "peak": memory("VmHWM") - before,
        "torch": before,
        "first": first,
        "seconds": time.perf_counter() - began,
        "processor": time.process_time(),
    }


def plan_many_blocks() -> dict[str, float]:
    """Plan a volume of 1,000,000 blocks, 33 TB, in this process."""
    import torch  # noqa: F401

    before = memory("VmRSS")
    import dask.array as da

    from napari_restore import api

    volume = da.zeros((1_000_000, SIDE, SIDE), chunks=(1, SIDE, SIDE), dtype=np.uint16)
    made, began = memory("VmHWM"), time.perf_counter()
    plan = api.plan(volume, axes="ZYX", value_range=(0, 1000), shards=(1, SIDE, SIDE), chunks=(1, 512, 512))
    str(plan)
    seconds = time.perf_counter() - began
    return {
        "blocks": plan.blocks, "tiles": plan.tiles, "seconds": seconds, "planning": memory("VmHWM") - made,
        "peak": memory("VmHWM") - before,
    }  # fmt: skip


def in_a_child(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of a run, by size and kind of the source.")
    parser.add_argument("--sizes", type=float, nargs="*", default=[0.5, 1.0, 2.0], help="GB; none: planning only")
    parser.add_argument("--kinds", nargs="*", choices=["tiff", "zarr", "linked", "virtual"], default=["tiff", "zarr"])
    parser.add_argument("--blocks", type=int, default=0, help="stop after so many; 0: restore all")
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        folder, source, blocks = (*given.child, "", "")[:3]
        found = run(Path(folder), Path(source), int(blocks)) if source else plan_many_blocks()
        print(json.dumps(found))
        return
    print(
        "source  volume GB  blocks at a time   at most MB  restoring MB  peak MB  (import torch MB)  s s of CPU first s"
    )
    for size in given.sizes:
        for kind in given.kinds:
            count = max(1, round(size * 1e9 / (SIDE * SIDE * 2)))
            if kind in ("linked", "virtual") and (kind == "linked") != (size <= 16):
                continue  # a file has no more than 65,000 names
            with tempfile.TemporaryDirectory() as folder:
                names = {"tiff": "source.tif", "virtual": f"{count}.virtual"}
                source = Path(folder) / names.get(kind, "source.zarr")
                if kind == "linked":
                    link_volume(source, count)
                elif kind != "virtual":
                    write_volume(source, count)
                found = in_a_child("--child", folder, str(source), str(given.blocks))
            print(
                f"{kind:<8}{found['volume'] / 1e9:9.2f}{found['workers']:18.0f}{found['planned'] / 1e6:13.0f}"
                f"{found['restoring'] / 1e6:14.0f}{found['peak'] / 1e6:9.0f}{found['torch'] / 1e6:20.0f}"
                f"{found['seconds']:5.0f}{found['processor']:11.0f}{found['first']:8.1f}",
                flush=True,
            )
    found = in_a_child("--child", "plan")
    print(
        f"planning {found['blocks']:,.0f} blocks ({found['tiles']:,.0f} tiles): {found['seconds']:.2f} s, "
        f"{found['planning'] / 1e6:.0f} MB; {found['peak'] / 1e6:.0f} MB with the package and the dask array"
    )


if __name__ == "__main__":
    main()

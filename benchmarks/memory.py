"""How much memory a run takes, whatever the size of the volume, and what it costs to plan a very large one.

    python benchmarks/memory.py                      # 0.5, 1 and 2 GB, as TIFF and as Zarr
    python benchmarks/memory.py --sizes 0.25 --kinds tiff
    python benchmarks/memory.py --sizes              # planning only

Each volume is a stack of uint16 planes of 4096 x 4096 pixels, written plane by plane to a temporary folder. It goes
through a Restormer with one transformer block, with the settings that `napari_restore.api` would choose, in a process
of its own. The column to look at is the peak of the resident memory above what ``import torch`` alone takes. Linux
only.
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

SIDE = 4096
MODEL: dict[str, Any] = {
    "in_channels": 1, "out_channels": 1, "dim": 2, "blocks": (0, 0, 0, 1), "refinement_blocks": 0,
    "heads": (1, 1, 1, 1), "layer_norm": "BiasFree",
}  # fmt: skip
"""One block is all there is, in the middle, where the image is an eighth as wide: a gigapixel takes minutes."""


def memory(field: str) -> int:
    """Resident memory of this process in bytes: "VmRSS" now, "VmHWM" at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


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


def run(folder: Path, source: Path) -> dict[str, float]:
    """Restore the volume in this process, and say what that took."""
    import torch

    before = memory("VmRSS")
    from safetensors.torch import save_file

    from napari_restore.engine.plan import make_plan
    from napari_restore.engine.recipe import make_recipe
    from napari_restore.engine.run import run_blocks
    from napari_restore.engine.sinks import OmeZarrSink
    from napari_restore.images.sources import open_image
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
    plan = make_plan(open_image(source, axes="ZYX"), card, make_recipe(model=card.name, axes="ZYX"))
    began = time.perf_counter()
    sink = OmeZarrSink(plan, folder / "result.zarr")
    for _ in run_blocks(plan, sink):
        pass
    restored = memory("VmHWM")
    for _ in sink.build_pyramid():
        pass
    return {
        "volume": plan.image.nbytes,
        "workers": plan.recipe.workers or 0,
        "planned": plan.memory_bytes,
        "restoring": restored - before,
        "peak": memory("VmHWM") - before,
        "torch": before,
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
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of a run, by size and kind of the source.")
    parser.add_argument("--sizes", type=float, nargs="*", default=[0.5, 1.0, 2.0], help="GB; none: planning only")
    parser.add_argument("--kinds", nargs="*", choices=["tiff", "zarr"], default=["tiff", "zarr"])
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(run(*map(Path, given.child)) if len(given.child) == 2 else plan_many_blocks()))
        return
    print("source  volume GB  blocks at a time  expected MB  restoring MB  peak MB  (import torch MB)  s   s of CPU")
    for size in given.sizes:
        for kind in given.kinds:
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / ("source.tif" if kind == "tiff" else "source.zarr")
                write_volume(source, max(1, round(size * 1e9 / (SIDE * SIDE * 2))))
                found = in_a_child("--child", folder, str(source))
            print(
                f"{kind:<8}{found['volume'] / 1e9:9.2f}{found['workers']:18.0f}{found['planned'] / 1e6:13.0f}"
                f"{found['restoring'] / 1e6:14.0f}{found['peak'] / 1e6:9.0f}{found['torch'] / 1e6:20.0f}"
                f"{found['seconds']:5.0f}{found['processor']:11.0f}",
                flush=True,
            )
    found = in_a_child("--child", "plan")
    print(
        f"planning {found['blocks']:,.0f} blocks ({found['tiles']:,.0f} tiles): {found['seconds']:.2f} s, "
        f"{found['planning'] / 1e6:.0f} MB; {found['peak'] / 1e6:.0f} MB with the package and the dask array"
    )


if __name__ == "__main__":
    main()

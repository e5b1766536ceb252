"""Measure how tiles approach the whole plane as the halo grows: ``python -m benchmarks.halo MODEL [MODEL ...]``.

The planes are the noisy channels of the bundled image, and of the folder of `benchmarks/quality/sets.py` if it is
given. Each is restored in tiles with each halo, and as one tile. *max* and *rms* are the largest and the root mean
square difference from the one tile, as shares of the value range; *of the change* is the root mean square divided by
that of what the model changes. *cost* is the number of pixels in all tiles of a plane of 2048 x 2048, divided by that
of the plane. The card of a model states the error of its own halo.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.quality import sets
from napari_restore import api
from napari_restore.samples import sample_path
from napari_restore.tiling.grid import plane_grid

Plane = NDArray[np.float32]


def planes(folder: Path | None, every: int) -> Iterator[Plane]:
    """Yield planes of data units."""
    yield from tifffile.imread(sample_path("cells_noisy")).astype(np.float32)
    if folder is not None:
        for name in ("fmd", "w2s"):
            yield from (np.asarray(pair.noisy, np.float32) for pair in list(sets.SETS[name](folder))[::every])


def restored(plane: Plane, model: str, tile: int, halo: int, blend: int, window: int | None) -> Plane:
    """Restore a plane by its value range, in float32, in tiles."""
    low, high = (float(value) for value in np.percentile(plane, (0.1, 99.9)))
    scale = api.model_card(model).scale
    run = api.denoise if scale == 1 else partial(api.super_resolve, scale=scale)
    settings = {"valid_range": "all", "fill_values": "none", "neighbours": "none", "precision": "float32"}
    if window is not None:
        settings |= {"attention_window": window}
    result = run(
        plane, model=model, tile=tile, halo=halo, blend=blend, value_range=(low, high), dtype="float32",
        backend="eager", device="cpu", axes="YX", **settings,
    )  # fmt: skip
    return (np.asarray(result) - low) / (high - low)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--every", type=int, default=8, help="take every n-th pair of FMD and W2S")
    parser.add_argument("--tile", type=int, default=0, help="side of the tiles; by default half of the plane and halo")
    parser.add_argument("--halos", type=int, nargs="*", default=[16, 24, 32, 40, 48])
    parser.add_argument("--blend", type=int, default=16)
    parser.add_argument("--window", type=int, help="attention window of Restormer")
    given = parser.parse_args()
    print("model                      halo  blend      max      rms  of the change  cost")
    for model in given.models:
        step = 8 if given.window is None else max(8, given.window // 7)
        found: dict[int, list[tuple[float, float, float]]] = {}
        for plane in planes(given.folder, given.every):
            whole = restored(plane, model, -(-max(plane.shape) // step) * step, 0, 0, given.window)
            factor = whole.shape[0] // plane.shape[0]
            low, high = (float(value) for value in np.percentile(plane, (0.1, 99.9)))
            before = ((plane - low) / (high - low)).repeat(factor, 0).repeat(factor, 1)
            change = float(np.sqrt(np.mean((whole - before) ** 2)))
            for halo in given.halos:
                blend = given.blend - (2 * halo + given.blend) % step
                tile = given.tile or -(-(max(plane.shape) // 2 + halo + blend) // step) * step
                off = restored(plane, model, tile, halo, blend, given.window) - whole
                rms = float(np.sqrt(np.mean(off.astype(np.float64) ** 2)))
                found.setdefault(halo, []).append((float(np.abs(off).max()), rms, rms / change))
        for halo, rows in found.items():
            blend = given.blend - (2 * halo + given.blend) % step
            largest, rms, share = np.max([row[0] for row in rows]), *np.mean([row[1:] for row in rows], axis=0)
            tile = 512 // step * step
            grid = plane_grid(2048, 2048, tile=tile, halo=halo, blend=blend, alignment=step)
            cost = grid.count * np.prod(grid.tile_shape) / 2048**2
            print(f"{model:<26} {halo:4}  {blend:5}  {largest:.1e}  {rms:.1e}  {100 * share:11.3f} %  {cost:.2f}")


if __name__ == "__main__":
    main()

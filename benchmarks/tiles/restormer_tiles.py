"""Compare ways to run Restormer in tiles: ``python -m benchmarks.tiles.restormer_tiles EVAL_FOLDER``.

Restormer's attention is built from sums over all pixels of whatever it is given, so a tile depends on the whole tile.
`benchmarks/quality/sets.py` says what the folder holds.

- *tile*: every tile has its own attention, as the engine runs it.
- *windows*: sums over windows of the plane, on a grid that is fixed to the image, at every level; the attention is
  interpolated between their centres (after TLC, arXiv 2112.04491, whose windows are centred on each pixel).
- *shared*: sums over evenly spread tiles in a first pass, and then one attention for every pixel. Of the plane, or *of
  a stack*: here all planes of one microscope (FMD), one channel (W2S) or the bundled image.

Columns:

- PSNR in dB against the truth: FMD, W2S, the three channels of the bundled image.
- *seams*: mean absolute gradient within a pixel of the middle of the blended strips over that elsewhere
  (`seam_ratio`), mean over all planes, divided by the same of the same way without tiles; and of the clean planes.
- *off whole*: the difference from the same way without tiles; *moved*: what changes when the grid of tiles is moved by
  half a stride. Root mean square, over that of the noise removed.
- *time*: of the processor, over that of tile 256. That of *shared* is with the first pass, over all tiles of the plane.

Below the table: how tiles with shared attention approach the whole plane as the halo grows, how the result of sums of
tiles with their own attention differs from that of sums gathered layer by layer, and flicker: one plane under eight
draws of the noise, standard deviation over time over that of what was given.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from einops import rearrange

from benchmarks.quality import sets
from benchmarks.quality.scores import score
from benchmarks.tiles.restormer_attention import Plane, Sums, frozen, gathering, infer, own, use, windows
from napari_restore import api
from napari_restore.quality.metrics import psnr, seam_ratio
from napari_restore.samples import sample_path
from napari_restore.tiling.blend import Canvas, cut_tile
from napari_restore.tiling.grid import TileGrid, plane_grid

Figures = dict[str, dict[str, float]]
"""By way, and by what is measured."""

SAMPLE = 256
"""Side of the tiles that shared attention is gathered from."""
MARGIN = 64
"""Pixels at the border of a plane that are left out when the grid is moved: there the plane itself ends elsewhere."""


@dataclass(frozen=True)
class Way:
    """Tiles of a plane, and the attention of its pixels."""

    name: str
    attention: str
    tile: int
    halo: int
    blend: int
    cell: int = 8
    """Windows are of 2 x 2 cells; tiles begin where cells do."""

    @property
    def step(self) -> int:
        """About half a stride, a whole number of cells."""
        return max(1, (self.tile - 2 * self.halo - self.blend) // 2 // self.cell) * self.cell

    @property
    def without_tiles(self) -> str:
        """Name of the same attention on a whole plane."""
        return f"{self.name.removesuffix(str(self.tile)).strip()}, whole plane"


TODAY = Way("tile 256", "tile", 256, 16, 32)
WAYS = (
    Way("tile 128", "tile", 128, 16, 32),
    TODAY,
    Way("tile 384", "tile", 384, 16, 32),
    Way("windows of 64", "windows", 256, 40, 16, 32),
    Way("windows of 128", "windows", 384, 80, 32, 64),
    Way("shared, of the plane", "shared", 256, 24, 16),
    Way("shared, of a stack", "stack", 256, 24, 16),
)


def even_tiles(plane: Plane, side: int = SAMPLE) -> Plane:
    """Tiles ``(n, 1, side, side)`` that cover a plane evenly."""
    sides = [min(side, length // 8 * 8) for length in plane.shape]
    starts = [
        np.linspace(0, length - size, -(-length // size)).astype(int)
        for length, size in zip(plane.shape, sides, strict=True)
    ]
    return np.stack([plane[None, y : y + sides[0], x : x + sides[1]] for y in starts[0] for x in starts[1]])


def gathered(plane: Plane, *, together: bool = False) -> list[Sums]:
    """Sums of every attention over the tiles of a plane: one pass, or layer by layer (all tiles at once)."""
    tiles = even_tiles(plane)
    parts: list[list[Sums]] = []
    for batch in (tiles,) if together else tiles[:, None]:
        parts.append([])
        use(gathering(parts[-1], together=together))
        infer(batch)
    return added(parts)


def added(parts: Iterable[list[Sums]]) -> list[Sums]:
    return [tuple(sum(each) for each in zip(*layer, strict=True)) for layer in zip(*parts, strict=True)]


def grid_of(way: Way, plane: Plane) -> TileGrid:
    return plane_grid(*plane.shape, tile=way.tile, halo=way.halo, blend=way.blend, alignment=way.cell)


def tiled(way: Way, plane: Plane) -> Plane:
    grid, result = grid_of(way, plane), np.empty_like(plane)
    canvas = Canvas(grid, (0, plane.shape[0]), (0, plane.shape[1]))
    for ky, kx in canvas.tiles():
        canvas.add(ky, kx, infer(cut_tile(plane[None], (0, 0), grid, ky, kx)[None])[0])
        for first, rows in canvas.finished():
            result[first : first + rows.shape[1]] = rows[0]
    return result


def whole(plane: Plane, cell: int = 8) -> Plane:
    """The plane at once, reflected at its end up to whole cells."""
    padded = np.pad(plane, [(0, -length % cell) for length in plane.shape], mode="reflect")
    return infer(padded[None, None])[0, 0, : plane.shape[0], : plane.shape[1]]


def rms(values: Plane) -> float:
    return float(np.sqrt(np.mean(values.astype(np.float64) ** 2)))


@dataclass(frozen=True)
class Pair:
    """A noisy plane and its truth, in data units; and as the engine gives it to the network."""

    group: str
    stack: str
    noisy: Plane
    truth: Plane
    detail: bool = False

    def given(self) -> tuple[Plane, Any]:
        (scale,) = api.plan(self.noisy).scales
        return scale.normalise(self.noisy[None])[0], scale

    def psnr(self, result: Plane) -> float:
        if self.group == "sample":
            return psnr(self.truth, result, float(np.ptp(self.truth)))
        pair = sets.Pair(self.group, self.noisy, self.truth, stretched=self.group == "W2S")
        return score(pair, result, 0.0).psnr or math.nan


def first_pass(pair: Pair) -> tuple[list[Sums], float]:
    began = time.process_time()
    return gathered(pair.given()[0]), time.process_time() - began


def middles(grid: TileGrid) -> list[list[int]]:
    """Return positions within a pixel of the middle of the blended bands, rows and columns."""
    return [
        [axis.seam(k) + axis.blend // 2 + d for k in range(1, axis.count) for d in (-1, 0, 1)]
        for axis in (grid.y, grid.x)
    ]


def figures(pair: Pair, sums: list[Sums], stack: list[Sums], ways: Sequence[Way] = WAYS) -> Figures:
    """Return all figures of a pair, by way."""
    plane, scale = pair.given()
    kinds = {"tile": own, "shared": frozen(sums), "stack": frozen(stack)}
    found: Figures = {}
    wholes: dict[tuple[str, int], Plane] = {}
    for way in ways:
        key = (way.attention, way.cell)
        use(windows(way.cell) if way.attention == "windows" else kinds[way.attention])
        if key not in wholes:
            wholes[key] = whole(plane, way.cell)
            found[way.without_tiles] = {"psnr": pair.psnr(scale.restore(wholes[key]))}
        began = time.process_time()
        result = tiled(way, plane)
        row = {"time": time.process_time() - began, "psnr": pair.psnr(scale.restore(result))}
        borders = middles(grid_of(way, plane))
        row["seams"], row["seams_whole"] = seam_ratio(result, *borders), seam_ratio(wholes[key], *borders)
        row["seams_clean"] = seam_ratio(pair.truth, *borders)
        row["off"] = rms(result - wholes[key]) / rms(plane - wholes[key])
        if pair.detail:
            row["moved"] = moved(way, plane, result)
        found[way.name] = row
    return found


def moved(way: Way, plane: Plane, result: Plane) -> float:
    """Return the change when the grid is moved, divided by the removed noise."""
    inner = (slice(MARGIN, None),) * 2
    part, before = (each[way.step :, way.step :] for each in (plane, result))
    return rms((before - tiled(way, part))[inner]) / rms((part - before)[inner])


def pairs_of(folder: Path, every: int) -> list[Pair]:
    pairs = []
    for group in ("FMD", "W2S"):
        for number, pair in enumerate(list(sets.SETS[group.lower()](folder))[::every]):
            stack = pair.name.split("_")[0] if group == "FMD" else pair.name.split("_")[-1]
            noisy = np.asarray(pair.noisy, np.float32)
            pairs.append(Pair(group, f"{group} {stack}", noisy, pair.truth, detail=number % 3 == 0))
    noisy, clean = (tifffile.imread(sample_path(name)).astype(np.float32) for name in ("cells_noisy", "cells_clean"))
    pairs += [Pair("sample", "sample", *planes) for planes in zip(noisy, clean, strict=True)]
    return pairs


def table(rows: dict[str, list[dict[str, float]]], pairs: list[Pair], gathering_time: float) -> None:
    print("| attention | FMD | W2S | sample | seams / without tiles | / clean | off whole | moved | time |")
    print("|---|---|---|---|---|---|---|---|---|")
    base = sum(row["time"] for row in rows[TODAY.name])
    for name, found in rows.items():
        cells = [
            f"{np.mean([row['psnr'] for row, pair in zip(found, pairs, strict=True) if pair.group == group]):.3f}"
            for group in ("FMD", "W2S", "sample")
        ]
        if "time" in found[0]:
            means = {key: np.mean([row[key] for row in found if key in row]) for key in (*found[0], "moved")}
            cells += [f"{means['seams'] / means['seams_whole']:.3f}", f"{means['seams'] / means['seams_clean']:.3f}"]
            cells += [f"{100 * means['off']:.3f} %", f"{100 * means['moved']:.3f} %"]
            extra = gathering_time if name.startswith("shared") else 0.0
            cells += [f"{(sum(row['time'] for row in found) + extra) / base:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |")


def halos(pair: Pair) -> list[str]:
    """Measure the difference of tiles with shared attention from the whole plane, and of the two ways to gather."""
    plane, _ = pair.given()
    in_one, in_turn = gathered(plane), gathered(plane, together=True)
    results = []
    for sums in (in_one, in_turn):
        use(frozen(sums))
        results.append(whole(plane))
    lines = [f"one pass against layer by layer: {100 * rms(results[0] - results[1]) / rms(plane - results[0]):.3f} %"]
    use(frozen(in_one))
    for halo in (8, 16, 24, 32, 48):
        difference = np.abs(tiled(Way("", "", 256, halo, 16), plane) - results[0])
        lines.append(f"halo {halo:2}: largest difference {difference.max():.1e}")
    return lines


def flicker(pair: Pair) -> list[str]:
    """Return the brightness over time of a plane that does not change, by way."""
    side, rng = 256, np.random.default_rng(0)
    truth = pair.truth[:side, :side]
    residual = (pair.noisy[:side, :side] - truth).astype(np.float64)
    slope, offset = np.polyfit(truth.ravel(), residual.ravel() ** 2, 1)
    noise = rng.standard_normal((8, side, side)) * np.sqrt(np.maximum(slope * truth + offset, 1e-3))
    (scale,) = api.plan(pair.noisy).scales
    stack = scale.normalise((truth + noise).astype(np.float32))
    shared = added([gathered(plane) for plane in stack])
    lines = []
    for name, kinds in (("own", [own] * 8), ("of the stack", [frozen(shared) for _ in stack])):
        results = []
        for kind, plane in zip(kinds, stack, strict=True):
            use(kind)
            results.append(whole(plane))
        cells = [
            rearrange(np.asarray(images), "t (y a) (x b) -> t y x (a b)", a=32, b=32) for images in (results, stack)
        ]
        after, before = (each.mean(-1).std(0).mean() for each in cells)
        pixels = np.std(results, axis=0).mean() / np.std(stack, axis=0).mean()
        lines.append(f"flicker, attention {name}: means of 32 x 32 pixels {after / before:.4f}, pixels {pixels:.4f}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=4, help="take every n-th pair of FMD and W2S")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    arguments = parser.parse_args()
    pairs = pairs_of(arguments.folder, arguments.every)
    with ProcessPoolExecutor(arguments.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        passes = list(pool.map(first_pass, pairs))
        stacks: dict[str, list[list[Sums]]] = defaultdict(list)
        for pair, (sums, _) in zip(pairs, passes, strict=True):
            stacks[pair.stack].append(sums)
        totals = {name: added(parts) for name, parts in stacks.items()}
        extra = [pool.submit(halos, pairs[0]), pool.submit(flicker, pairs[-1])]
        found = list(pool.map(figures, pairs, (sums for sums, _ in passes), (totals[pair.stack] for pair in pairs)))
        table({name: [rows[name] for rows in found] for name in found[0]}, pairs, sum(seconds for _, seconds in passes))
        print(*(line for future in extra for line in future.result()), sep="\n")


if __name__ == "__main__":
    main()

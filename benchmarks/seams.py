"""Ways to run Restormer in tiles, side by side: ``python benchmarks/seams.py EVAL_FOLDER`` (see benchmarks/quality.py).

Restormer's attention is built from sums over all pixels of whatever it is given, so a tile depends on the whole tile.

- *tile*: every tile has its own attention, as the engine runs it.
- *windows*: sums over windows of the plane, on a grid that is fixed to the image, at every level; the attention is
  interpolated between their centres (after TLC, arXiv 2112.04491, whose windows are centred on each pixel).
- *shared*: sums over evenly spread tiles in a first pass, and then one attention for every pixel. Of the plane, or *of
  a stack*: here all planes of one microscope (FMD), one channel (W2S) or the bundled image.

Columns:

- PSNR in dB against the truth: FMD, W2S, the three channels of the bundled image.
- *seams*: mean absolute gradient within a pixel of the middle of the hand-overs over that elsewhere (`seam_ratio`),
  mean over all planes, divided by the same of the same way without tiles; and of the clean planes.
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
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import quality_sets
import tifffile
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from quality_scores import score
from torch import Tensor

from napari_restore import api
from napari_restore.models.zoo import find_card, load_weights
from napari_restore.networks.restormer import Restormer, TransposedAttention
from napari_restore.quality.metrics import psnr, seam_ratio
from napari_restore.samples import sample_path
from napari_restore.tiling.blend import Canvas, cut_tile
from napari_restore.tiling.grid import TileGrid, plane_grid

Plane = NDArray[np.float32]
Sums = tuple[Tensor, Tensor, Tensor]
"""Over pixels, of each head: products of queries and keys ``(..., c, c)``, squares of both ``(..., c)``."""

Figures = dict[str, dict[str, float]]
"""By way, and by what is measured."""

SAMPLE = 256
"""Side of the tiles that shared attention is gathered from."""
MARGIN = 64
"""Pixels at the border of a plane that are left out when the grid is moved: there the plane itself ends elsewhere."""


@dataclass(frozen=True)
class Way:
    """How a plane is divided, and what attention its pixels get."""

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


@cache
def network() -> Restormer:
    """The bundled denoiser of this process, on one thread: processes share out the cores."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    loaded = load_weights(find_card(api.DENOISER)).eval()
    assert isinstance(loaded, Restormer)
    return loaded


def attentions() -> list[tuple[int, TransposedAttention]]:
    """All of the network, with how many times the image was halved before."""
    levels = {"encoder_level1": 0, "encoder_level2": 1, "encoder_level3": 2, "latent": 3, "decoder_level3": 2}
    levels |= {"decoder_level2": 1, "decoder_level1": 0, "refinement": 0}
    return [
        (levels[name.partition(".")[0]], module)
        for name, module in network().named_modules()
        if isinstance(module, TransposedAttention)
    ]


def infer(images: Plane) -> Plane:
    with torch.inference_mode():
        return network()(torch.from_numpy(np.ascontiguousarray(images))).numpy()  # type: ignore[no-any-return]


def features(attention: TransposedAttention, x: Tensor) -> Tensor:
    """Queries, keys and values ``(qkv, b, head, c, h, w)``."""
    both: Tensor = attention.qkv_dwconv(attention.qkv(x))
    return rearrange(both, "b (qkv head c) h w -> qkv b head c h w", qkv=3, head=attention.heads)


def sums_of(q: Tensor, k: Tensor) -> Sums:
    """Sum over the pixels of ``(..., n, c)``."""
    return q.transpose(-2, -1) @ k, q.square().sum(-2), k.square().sum(-2)


def mixing(attention: TransposedAttention, sums: Sums) -> Tensor:
    """Matrix ``(..., channels, channels)`` that values are multiplied by: attention map, then projection."""
    gram, *squares = sums
    q, k = (each.sqrt().clamp_min(1e-12) for each in squares)
    maps = (gram / (q[..., :, None] * k[..., None, :]) * attention.temperature).softmax(-1)
    weight: Tensor = rearrange(attention.project_out.weight, "out (head c) 1 1 -> head out c", head=attention.heads)
    return rearrange(weight @ maps, "... head out c -> ... (head c) out")


def own(attention: TransposedAttention, level: int) -> Callable[[Tensor], Tensor]:
    """Attention as it is in the network."""
    return partial(TransposedAttention.forward, attention)


def gathering(found: list[Sums], *, together: bool) -> Callable[[TransposedAttention, int], Callable[[Tensor], Tensor]]:
    """Attention that leaves its sums, and uses those of each image, or those of all images of the batch."""

    def made(attention: TransposedAttention, level: int) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            q, k, v = rearrange(features(attention, x), "qkv b head c h w -> qkv b head (h w) c")
            each = sums_of(q, k)
            gram, queries, keys = (part.sum(0, keepdim=True) for part in each)
            total = gram, queries, keys
            found.append(total)
            mixed = rearrange(v, "b head n c -> b n (head c)") @ mixing(attention, total if together else each)
            return rearrange(mixed, "b (h w) c -> b c h w", h=x.shape[-2])

        return forward

    return made


def frozen(sums: Iterable[Sums]) -> Callable[[TransposedAttention, int], Callable[[Tensor], Tensor]]:
    """Attention with given sums. Queries and keys are not needed any more."""
    given = iter(sums)

    def made(attention: TransposedAttention, level: int) -> Callable[[Tensor], Tensor]:
        channels = attention.project_out.in_channels
        matrix = mixing(attention, next(given))[0]
        first, second = attention.qkv.weight[2 * channels :], attention.qkv_dwconv.weight[2 * channels :]

        def forward(x: Tensor) -> Tensor:
            values = F.conv2d(F.conv2d(x, first), second, padding=1, groups=channels)
            mixed = rearrange(values, "b c h w -> b h w c") @ matrix
            return rearrange(mixed, "b h w c -> b c h w")

        return forward

    return made


def windows(side: int) -> Callable[[TransposedAttention, int], Callable[[Tensor], Tensor]]:
    """Attention of windows of 2 x 2 cells of `side` input pixels, bilinear between the windows' centres."""

    def made(attention: TransposedAttention, level: int) -> Callable[[Tensor], Tensor]:
        return partial(windowed, attention, side >> level)

    return made


def windowed(attention: TransposedAttention, side: int, x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    padded = F.pad(features(attention, x), (0, -width % side, 0, -height % side))
    q, k, v = rearrange(padded, "qkv b head c (y s) (x t) -> qkv b y x head (s t) c", s=side, t=side)
    matrices = mixing(attention, tuple(four_cells(part) for part in sums_of(q, k)))  # type: ignore[arg-type]
    v = rearrange(v, "b y x head n c -> b y x n (head c)")
    rows, columns = v.shape[1:3]
    rise = (torch.arange(side) + 0.5) / side
    mixed = torch.zeros(())
    for dy, wy in enumerate((1 - rise, rise)):
        for dx, wx in enumerate((1 - rise, rise)):
            weight = (wy[:, None] * wx).reshape(-1, 1)
            mixed = mixed + weight * (v @ matrices[:, dy : dy + rows, dx : dx + columns])
    result = rearrange(mixed, "b y x (s t) c -> b c (y s) (x t)", s=side)
    return result[..., :height, :width].contiguous(memory_format=torch.channels_last)


def four_cells(cells: Tensor) -> Tensor:
    """Sum the cells around every corner: ``(b, y, x, ...)`` to ``(b, y + 1, x + 1, ...)``; fewer at the border."""
    flat = F.pad(rearrange(cells, "b y x ... -> b y x (...)"), (0, 0, 1, 1, 1, 1))
    flat = flat[:, :-1, :-1] + flat[:, 1:, :-1] + flat[:, :-1, 1:] + flat[:, 1:, 1:]
    return flat.reshape(*flat.shape[:3], *cells.shape[3:])


def use(kind: Callable[[TransposedAttention, int], Callable[[Tensor], Tensor]]) -> None:
    """Give every attention of the network its forward function."""
    for level, attention in attentions():
        setattr(attention, "forward", kind(attention, level))  # noqa: B010


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
        pair = quality_sets.Pair(self.group, self.noisy, self.truth, stretched=self.group == "W2S")
        return score(pair, result, 0.0).psnr or math.nan


def first_pass(pair: Pair) -> tuple[list[Sums], float]:
    began = time.process_time()
    return gathered(pair.given()[0]), time.process_time() - began


def middles(grid: TileGrid) -> list[list[int]]:
    """Positions within a pixel of the middle of the hand-overs, rows and columns."""
    return [
        [axis.seam(k) + axis.blend // 2 + d for k in range(1, axis.count) for d in (-1, 0, 1)]
        for axis in (grid.y, grid.x)
    ]


def figures(pair: Pair, sums: list[Sums], stack: list[Sums], ways: Sequence[Way] = WAYS) -> Figures:
    """All figures of a pair, by way."""
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
    """What changes when the grid is moved, over the noise that is removed."""
    inner = (slice(MARGIN, None),) * 2
    part, before = (each[way.step :, way.step :] for each in (plane, result))
    return rms((before - tiled(way, part))[inner]) / rms((part - before)[inner])


def pairs_of(folder: Path, every: int) -> list[Pair]:
    pairs = []
    for group in ("FMD", "W2S"):
        for number, pair in enumerate(list(quality_sets.SETS[group.lower()](folder))[::every]):
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
    """How far tiles with shared attention are from the whole plane, and how far the two ways to gather are apart."""
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
    """Brightness over time of a plane that does not change, by way."""
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

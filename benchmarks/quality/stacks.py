"""Measure the gain of neighbouring planes: ``python -m benchmarks.quality.stacks DATA_FOLDER [--all-rows]``.

``--held-out`` measures stacks that no threshold was chosen on: other real structures, other planes of the same files,
and generated stacks of other seeds. The row of BM4D needs the package `bm4d`, which is for non-commercial use.

Three kinds of stack are scored:

- *real*: structure and motion of real stacks, binned until clean, before a simulated camera (8 and 40 photons a pixel
  at the 99.9 percentile, read noise of 5 % of the range);
- *generated*: stacks of exact truth: still, slow, fast, a scene cut, blinking, bleaching;
- *without truth*: real noisy series; a result is compared with the next frame as recorded, which is left out of the
  stack that is restored. That error is mostly noise and motion, the same for all rows, so only differences between rows
  mean something.

Columns: PSNR and SSIM (range 1, clipped), PSNR of the worst frame beside the single plane's, error on moving pixels
(root mean square, beside the single plane's), flicker (root mean square change from plane to plane, beside the
truth's), ghosts (correlation of what was taken away with what the next plane shows and this one does not), processor
time beside the single plane's. The row of wrong neighbours rolls each of them sideways by 3/8 of the width.

DATA_FOLDER holds ``stacks`` and ``train/bia`` as ``docs/quality.md`` says; what is missing is named and left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity

from napari_restore import api
from napari_restore.engine.compute.neighbours import FusedPlanes
from napari_restore.intensity.noise import estimate_noise
from napari_restore.intensity.stabilise import CameraNoise
from napari_restore.training.structures import render

Array = NDArray[np.float32]
SIDES = 3
READ_NOISE = 0.05
REAL = {
    "nuclei (Z)": ("stacks/nuclei.tif", 2, slice(22, 38)),
    "cells (T)": ("stacks/timelapse_2d.tif", 2, slice(10, 20)),
    "membranes (T)": ("train/bia/membrane_2d_timelapse.tif", 2, slice(None)),
    "migration (T)": ("train/bia/cancer_cell_migration_crop.tif", 1, slice(0, 16)),
    "scratch assay (T)": ("stacks/scratch-assay-labeled-10T-2Ch.tiff", 2, slice(None)),
    "tomogram (Z)": ("stacks/tomo.tif", 2, slice(44, 56)),
}
"""File, binning and planes."""
HELD_OUT = {
    "nuclei 3D (Z)": ("train/stardist/img3d.tif", 1, slice(8, 24)),
    "beads (Z)": ("train/bia/Bead_Image1_crop.tif", 1, slice(14, 28)),
    "nuclei, other planes (Z)": ("stacks/nuclei.tif", 2, slice(38, 50)),
    "cells, other frames (T)": ("stacks/timelapse_2d.tif", 2, slice(20, 30)),
    "migration, other frames (T)": ("train/bia/cancer_cell_migration_crop.tif", 1, slice(24, 40)),
}
"""The same for stacks that no threshold was chosen on; the last three share their files with `REAL`."""
SEEDS = (20_261,)
HELD_OUT_SEEDS = (7, 101)
SERIES = {
    "cells (T), as recorded": ("stacks/timelapse_2d.tif", slice(10, 20)),
    "membranes (T), as recorded": ("train/bia/membrane_2d_timelapse.tif", slice(None)),
    "nuclei (Z), as recorded": ("stacks/nuclei.tif", slice(24, 36)),
    "migration (T), as recorded": ("train/bia/cancer_cell_migration_crop.tif", slice(0, 16)),
}
LARGEST = 128
"""Side of the crop that is taken from the middle."""


@dataclass(frozen=True)
class Stack:
    """Noisy planes and their truth, ``(n, h, w)`` in about [0, 1]; no truth for a real series."""

    name: str
    noisy: Array
    truth: Array | None
    range: tuple[float, float] = (0.0, 1.0)

    @property
    def axes(self) -> str:
        return "ZYX" if "(Z)" in self.name else "TYX"


def real(folder: Path, files: dict[str, tuple[str, int, slice]] = REAL) -> Iterator[Stack]:
    for name, (file, binning, planes) in files.items():
        path = folder / file
        if not path.exists():
            print(f"left out: {path} is not there")
            continue
        stack = tifffile.imread(path).astype(np.float64)
        stack = _middle(_binned(stack[0] if stack.ndim == 4 else stack, binning)[planes])
        low, high = np.percentile(stack, (0.1, 99.9))
        yield from _exposed(name, np.clip((stack - low) / (high - low), 0, None))


def series(folder: Path) -> Iterator[Stack]:
    for name, (file, planes) in SERIES.items():
        path = folder / file
        if path.exists():
            stack = _middle(tifffile.imread(path)[planes]).astype(np.float32)
            low, high = np.percentile(stack, (0.1, 99.9))
            yield Stack(name, stack, None, (float(low), float(high)))


def generated(seed: int, *, told: bool = False) -> Iterator[Stack]:
    """Stacks of exact truth; `told`: their names tell the seed."""
    rng = np.random.default_rng(seed)
    canvas = ndimage.gaussian_filter(np.maximum(render("nuclei", 256, rng) * 0.7, render("filaments", 256, rng)), 1.0)
    other = ndimage.gaussian_filter(render("membranes", 256, rng), 1.0)
    spots = ndimage.gaussian_filter(render("spots", 256, rng), 1.0)

    def cut(image: NDArray[np.floating]) -> NDArray[np.floating]:
        return image[64:192, 64:192]

    def drift(step: float) -> NDArray[np.floating]:
        return np.stack([cut(ndimage.shift(canvas, (0.3 * step * k, step * k), order=3)) for k in range(-3, 4)])

    still = np.repeat(cut(canvas)[None], 7, 0)
    blink = np.stack([cut(0.6 * canvas + spots * (k % 3 == 0)) for k in range(7)])
    stacks = {
        "still": still,
        "slow": drift(0.4),
        "fast": drift(9.0),
        "cut": np.concatenate([still[:3], np.repeat(cut(other)[None], 4, 0)]),
        "blinking": blink,
        "bleaching": still * 0.85 ** np.arange(7)[:, None, None],
    }
    for name, truth in stacks.items():
        yield from _exposed(f"{name}, seed {seed}" if told else name, np.clip(truth, 0, None) / truth.max())


def _exposed(name: str, truth: NDArray[np.float64]) -> Iterator[Stack]:
    for photons in (8, 40):
        rng = np.random.default_rng([photons, len(name)])
        noisy = rng.poisson(truth * photons) / photons + rng.normal(0, READ_NOISE, truth.shape)
        yield Stack(f"{name} {photons}", noisy.astype(np.float32), truth.astype(np.float32))


def _binned(stack: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    h, w = (n // side for n in stack.shape[-2:])
    cells = stack[..., : h * side, : w * side].reshape(*stack.shape[:-2], h, side, w, side)
    return np.asarray(cells.mean((-3, -1)))


def _middle(stack: NDArray[np.generic]) -> NDArray[np.generic]:
    y, x = (max(0, (n - LARGEST) // 2) for n in stack.shape[-2:])
    return stack[:, y : y + LARGEST, x : x + LARGEST]


# ------------------------------------------------------------------------------------------- rows


def denoised(planes: Array, limits: tuple[float, float]) -> Array:
    return np.asarray(api.denoise(planes, axes="TYX", value_range=limits, dtype="float32", neighbours="none"))


def with_neighbours(stack: Stack, frames: list[int]) -> Array:
    """Some planes of what a run of the whole stack stores, by default settings."""
    plan = api.plan(stack.noisy, axes=stack.axes, value_range=stack.range, dtype="float32")
    whole = tuple(slice(0, n) for n in stack.noisy.shape[1:])
    return np.concatenate([api.part(plan, (slice(t, t + 1), *whole)) for t in frames])


def window(stack: Array, k: int, sides: int) -> range:
    return range(max(0, k - sides), min(len(stack), k + sides + 1))


def fused(stack: Stack, frames: list[int]) -> Array:
    """Return the input of the network."""
    plan = api.plan(stack.noisy, axes=stack.axes, value_range=stack.range, dtype="float32")
    if not plan.fuses:
        return stack.noisy[frames]
    along, (height, width) = stack.axes[0], stack.noisy.shape[1:]
    where = {along: slice(frames[0], frames[-1] + 1), "Y": slice(0, height), "X": slice(0, width)}
    planes = FusedPlanes(plan, where)
    return np.concatenate([planes.plane({along: t}, plan.validity[0].missing) for t in frames]).astype(np.float32)


def rolled(stack: Array, middle: int) -> Array:
    """Return the stack with every plane but one moved sideways, none of them by about the width."""
    step = 3 * stack.shape[2] // 8
    return np.stack([np.roll(plane, (k - middle) * step, axis=1) for k, plane in enumerate(stack)])


def wrongly(stack: Stack, frames: list[int]) -> Array:
    return np.concatenate([with_neighbours(replace(stack, noisy=rolled(stack.noisy, t)), [t]) for t in frames])


def bm4d(stack: Array) -> Array:
    """Denoise by BM4D (Maggioni et al., IEEE TIP 22, 2013), with the noise of the camera stabilised."""
    from bm4d import bm4d as run

    camera = CameraNoise.from_estimate(found) if (found := estimate_noise(list(stack))) is not None else None
    if camera is None:
        return stack
    return camera.invert(run(camera.stabilise(stack), 1.0)).astype(np.float32)


def rows(quick: bool) -> dict[str, Callable[[Stack, list[int]], Array]]:
    found: dict[str, Callable[[Stack, list[int]], Array]] = {
        "noisy": lambda s, f: s.noisy[f],
        "single plane": lambda s, f: denoised(s.noisy[f], s.range),
        "mean of 3": lambda s, f: np.stack([s.noisy[window(s.noisy, k, 1)].mean(0) for k in f]),
        "mean of 5": lambda s, f: np.stack([s.noisy[window(s.noisy, k, 2)].mean(0) for k in f]),
        "median of 3": lambda s, f: np.stack([np.median(s.noisy[window(s.noisy, k, 1)], 0) for k in f]),
        "median of 5": lambda s, f: np.stack([np.median(s.noisy[window(s.noisy, k, 2)], 0) for k in f]),
        "fusion": fused,
        "fusion of wrong neighbours, then the network": wrongly,
        "mean of 5, then the network": lambda s, f: denoised(
            np.stack([s.noisy[window(s.noisy, k, 2)].mean(0) for k in f]), s.range
        ),
        "fusion, then the network": with_neighbours,
    }
    if find_spec("bm4d"):
        found["BM4D, stabilised"] = lambda s, f: bm4d(s.noisy)[f]
    if quick:
        return {name: row for name, row in found.items() if not name.startswith("mean of 5, then")}
    return found


# ---------------------------------------------------------------------------------------- columns


def scores(stack: Stack, result: Array, frames: list[int], seconds: float) -> dict[str, float | list[float]]:
    if stack.truth is None:
        low, high = stack.range
        ahead = np.stack([stack.noisy[k + 1] for k in frames])
        return {"next": float(np.sqrt(np.mean((result - ahead) ** 2)) / (high - low)), "seconds": seconds}
    truth = stack.truth[frames]
    a, b = np.clip(truth, 0, 1), np.clip(result, 0, 1)
    each = [float(-10 * np.log10(np.mean((x - y) ** 2))) for x, y in zip(a, b, strict=True)]
    similar = [structural_similarity(x, y, data_range=1.0) for x, y in zip(a, b, strict=True)]
    change = np.stack([stack.truth[k + 1] - stack.truth[k] for k in frames])
    near = np.stack([np.ptp(stack.truth[window(stack.truth, k, SIDES)], axis=0) for k in frames])
    moving = near > 0.1
    taken = stack.noisy[frames] - result
    return {
        "psnr": each,
        "ssim": float(np.mean(similar)),
        "moving": float(np.sqrt(np.mean((a - b)[moving] ** 2))) if moving.mean() > 0.002 else float("nan"),
        "flicker": float(np.std(np.diff(result, axis=0)) / np.std(np.diff(truth, axis=0)))
        if np.std(np.diff(truth, axis=0)) > 0.01
        else float("nan"),
        "ghost": float(np.corrcoef(taken.ravel(), change.ravel())[0, 1])
        if change.std() > 0.01 and taken.std() > 0
        else float("nan"),
        "seconds": seconds,
    }


def stacks(folder: Path, held_out: bool) -> Iterator[Stack]:
    yield from real(folder, HELD_OUT if held_out else REAL)
    for seed in HELD_OUT_SEEDS if held_out else SEEDS:
        yield from generated(seed, told=held_out)
    if not held_out:
        yield from series(folder)


def measure(found: Iterable[Stack], frames: int, quick: bool) -> dict[str, dict[str, dict[str, float | list[float]]]]:
    table: dict[str, dict[str, dict[str, float | list[float]]]] = {}
    for stack in found:
        middle = len(stack.noisy) // 2
        chosen = list(range(middle - (frames + 1) // 2, middle + frames // 2))
        table[stack.name] = {}
        for name, row in rows(quick).items():
            if stack.truth is None and name not in ("single plane", "fusion, then the network"):
                continue
            began = time.process_time()
            result = (row if stack.truth is not None else partial(_without_next, row))(stack, chosen)
            table[stack.name][name] = scores(stack, result, chosen, time.process_time() - began)
        print(stack.name, _line(table[stack.name]), flush=True)
    return table


def _without_next(row: Callable[[Stack, list[int]], Array], stack: Stack, frames: list[int]) -> Array:
    """Restore each frame from a stack from which the next frame, with which it is compared, is left out."""
    return np.concatenate([row(replace(stack, noisy=np.delete(stack.noisy, k + 1, 0)), [k]) for k in frames])


def _line(table: dict[str, dict[str, float | list[float]]]) -> str:
    single, best = table["single plane"], table["fusion, then the network"]
    if "next" in single:
        return f"error against the next frame {single['next']:.4f} -> {best['next']:.4f}"
    gain = np.subtract(best["psnr"], single["psnr"])
    wrong = np.subtract(table["fusion of wrong neighbours, then the network"]["psnr"], single["psnr"])
    return (
        f"single {np.mean(single['psnr']):.2f} fusion+network {gain.mean():+.2f} (worst frame {gain.min():+.2f}), "
        f"wrong {wrong.mean():+.2f}, "
        f"SSIM {single['ssim']:.3f} -> {best['ssim']:.3f}, moving {best['moving'] / single['moving']:.3f}, "
        f"flicker {single['flicker']:.2f} -> {best['flicker']:.2f}, ghost {single['ghost']:.3f} -> {best['ghost']:.3f}"
    )


def markdown(table: dict[str, dict[str, dict[str, float | list[float]]]]) -> Iterator[str]:
    """Yield the lines of the page's table."""
    plain = ("noisy", "mean of 3", "mean of 5", "median of 3", "median of 5", "mean of 5, then the network", "fusion")
    titles = {"mean of 5, then the network": "mean of 5, network", "fusion": "fusion alone"}
    found = next(iter(table.values()))
    shown = [name for name in plain if name in found]
    columns = [
        "stack, photons", *(titles.get(name, name) for name in shown), "one plane, network", "fusion, network",
        "SSIM, one plane → fusion", "worst frame", "wrong neighbours", "moving pixels", "flicker, one plane → fusion",
        "ghosts, one plane → fusion",
    ]  # fmt: skip
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for stack, by_row in table.items():
        single, best = by_row["single plane"], by_row["fusion, then the network"]
        if "next" in single:
            continue
        wrong = by_row["fusion of wrong neighbours, then the network"]
        psnr = [f"{np.mean(by_row[name]['psnr']):.2f}" for name in shown]
        worst, off = (np.subtract(row["psnr"], single["psnr"]) for row in (best, wrong))
        pairs = [f"{single[name]:.2f} → {best[name]:.2f}" for name in ("flicker", "ghost")]
        moves = np.isfinite(single["moving"])
        cells = [
            stack, *psnr, f"{np.mean(single['psnr']):.2f}", f"**{np.mean(best['psnr']):.2f}**",
            f"{single['ssim']:.3f} → {best['ssim']:.3f}", f"{worst.min():+.2f}", f"{off.mean():+.2f}",
            f"{best['moving'] / single['moving']:.2f}" if moves else "–", *(pairs if moves else "––"),
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--all-rows", action="store_true", help="also the mean of 5 before the network")
    parser.add_argument("--held-out", action="store_true", help="stacks that no threshold was chosen on")
    parser.add_argument("--only", default="", help="text in the names of the stacks")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = (stack for stack in stacks(given.folder, given.held_out) if given.only in stack.name)
    table = measure(found, given.frames, not given.all_rows)
    if given.out:
        given.out.write_text(json.dumps(table, indent=1))
    print("\n".join(markdown(table)))
    for photons in (8, 40):
        gains = [
            np.mean(t["fusion, then the network"]["psnr"]) - np.mean(t["single plane"]["psnr"])
            for name, t in table.items()
            if name.endswith(f" {photons}") and name.rpartition(" ")[0] in {**REAL, **HELD_OUT}
        ]
        if gains:
            print(f"real stacks, {photons} photons: {np.mean(gains):+.2f} dB over the single plane")


if __name__ == "__main__":
    main()

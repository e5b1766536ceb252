"""Measure what fill and specks cost the rest of an image: ``python -m benchmarks.fill``.

A camera image is made, with a known truth. Fill covers a border of it; specks and hot pixels are saturated. The PSNR is
that of the rest, outside a margin of 8 pixels around fill and 4 around specks, minus that of the result without them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_restore import api

SIDE = 192
FILLS = (np.nan, np.inf, 0, -1, -9999, -1_000_000, -2_147_483_648, -3.4028234663852886e38, 1e20, 65535)
SHARES = (0.0005, 0.002, 0.01, 0.11, 0.3, 0.6)
TYPES = ("uint16", "int16", "int32", "float32")
TASKS = {"denoise": "restormer-denoise-light", "x2": "swinir-x2-light"}


def scene() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cells, and what a camera records of them."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:SIDE, :SIDE]
    photons = np.full((SIDE, SIDE), 3.0)
    for _ in range(30):
        cy, cx, radius, bright = *rng.uniform(0, SIDE, 2), rng.uniform(1.5, 7), rng.uniform(10, 100)
        photons += bright * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * radius**2))
    return photons * 2 + 100, rng.poisson(photons) * 2 + 100 + rng.normal(0, 4, photons.shape)


def border(share: float) -> NDArray[np.bool_]:
    """A border on the left of a share of the pixels; for the smallest shares a square in it."""
    mask = np.zeros((SIDE, SIDE), bool)
    count = round(share * mask.size)
    if count < 3 * SIDE:
        side = max(3, round(count**0.5))
        mask[5 : 5 + side, 5 : 5 + side] = True
    else:
        mask[:, : round(share * SIDE)] = True
    return mask


def holds(dtype: str, fill: float) -> bool:
    """Whether a data type can hold a fill value."""
    if dtype.startswith("float"):
        return True
    return bool(np.isfinite(fill)) and np.iinfo(dtype).min <= fill <= np.iinfo(dtype).max


def psnr(result: Any, truth: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    error = (np.asarray(result, np.float64) - truth)[where]
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean(error**2)))


def enlarged(plane: NDArray[Any], task: str) -> NDArray[Any]:
    return plane.repeat(2, 0).repeat(2, 1) if task == "x2" else plane


def restored(image: NDArray[Any], task: str) -> NDArray[Any]:
    return np.asarray(api.restore(image, axes="YX", model=TASKS[task], device="cpu"))


def fills(tasks: list[str], types: list[str], shares: list[float]) -> Iterator[tuple[str, float, bool]]:
    """Yield name, change of the PSNR and whether the fill came back exactly, for each combination."""
    truth, noisy = scene()
    for task in tasks:
        reference = enlarged(truth, task)
        for dtype in types:
            plain = noisy.astype(dtype) if dtype.startswith("float") else np.rint(noisy).astype(dtype)
            without = restored(plain, task)
            for fill in (value for value in FILLS if holds(dtype, value)):
                for share in shares:
                    mask, image = border(share), plain.copy()
                    image[mask] = fill
                    result, wide = restored(image, task), enlarged(mask, task)
                    where = ~ndimage.binary_dilation(wide, iterations=8 * (2 if task == "x2" else 1))
                    change = psnr(result, reference, where) - psnr(without, reference, where)
                    back = np.array_equal(result[wide], enlarged(image, task)[wide], equal_nan=dtype == "float32")
                    yield f"{task} {dtype} {fill:g} {100 * share:g} %", change, back


def specks() -> Iterator[tuple[str, float, float]]:
    """Yield name, change of the PSNR and of the mean, for saturated specks and hot pixels."""
    truth, noisy = scene()
    plain = np.rint(noisy).astype(np.uint16)
    without = restored(plain, "denoise")
    y, x = np.mgrid[:SIDE, :SIDE]
    masks = {f"speck of radius {r}": (y - 60) ** 2 + (x - 50) ** 2 <= r**2 for r in (4, 7, 12, 25)}
    rng = np.random.default_rng(1)
    masks |= {f"hot pixels {100 * share:g} %": rng.random(truth.shape) < share for share in (0.0005, 0.0015, 0.003)}
    for name, mask in masks.items():
        image = np.where(mask, np.uint16(65535), plain)
        result = restored(image, "denoise").astype(np.float64)
        where = ~ndimage.binary_dilation(mask, iterations=4)
        mean = float((result - without)[where].mean())
        yield name, psnr(result, truth, where) - psnr(without, truth, where), mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--types", nargs="+", default=list(TYPES), choices=TYPES)
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES))
    given = parser.parse_args()
    worst, count, wrong = 0.0, 0, []
    for name, change, back in fills(given.tasks, given.types, given.shares):
        count, worst = count + 1, min(worst, change)
        wrong += [] if back else [name]
        if change < -0.3 or not back:
            print(f"{name}: {change:+.2f} dB, fill {'back' if back else 'NOT BACK'}", flush=True)
    print(f"{count} combinations of fill: worst {worst:+.2f} dB, fill not back in {len(wrong)}", flush=True)
    if "denoise" in given.tasks:
        for name, change, mean in specks():
            print(f"{name}: {change:+.2f} dB, mean {mean:+.2f} counts", flush=True)


if __name__ == "__main__":
    main()

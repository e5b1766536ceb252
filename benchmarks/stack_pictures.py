"""The pictures of ``docs/neighbours.md``: ``python -m benchmarks.stack_pictures DATA_FOLDER [OUT_FOLDER]``.

A kymograph (T and X) and an XZ view of two stacks of `benchmarks.quality.stacks`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.stacks import REAL, denoised, real, with_neighbours
from benchmarks.quality.strips import Panel, compose

PICTURES = {"neighbours_kymograph": ("membranes (T) 8", "T"), "neighbours_xz": ("nuclei (Z) 8", "Z")}
"""For each picture the stack, and the axis that is drawn downwards."""
HEIGHT = 128
"""Rows of a panel; each plane is as many rows high as fit."""


def draw(data: Path, folder: Path) -> None:
    """Draw all planes of one row of pixels of each stack: noisy, restored one by one and with neighbours, and truth."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture, (name, axis) in PICTURES.items():
        file = {name.rpartition(" ")[0]: REAL[name.rpartition(" ")[0]]}
        stack = next(stack for stack in real(data, file) if stack.name == name)
        assert stack.truth is not None
        every = list(range(len(stack.noisy)))
        rows = {
            "noisy": stack.noisy,
            "one plane": denoised(stack.noisy, stack.range),
            "neighbours": with_neighbours(stack, every),
            "truth": stack.truth,
        }
        limits = (float(np.percentile(stack.truth, 0.5)), float(np.percentile(stack.truth, 99.8)))
        panels: list[Panel] = [(f"{row}, X and {axis}", _cut(planes), limits) for row, planes in rows.items()]
        compose(panels).save(folder / f"{picture}.png", optimize=True)
        print(f"{folder / picture}.png")


def _cut(planes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cut the middle row of pixels out of each plane, and repeat it to `HEIGHT` rows in all."""
    cut = planes[:, planes.shape[1] // 2].astype(np.float64)
    tall = np.repeat(cut, -(-HEIGHT // len(cut)), axis=0)[:HEIGHT]
    return np.pad(tall, ((0, HEIGHT - tall.shape[0]), (0, HEIGHT - tall.shape[1])))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=Path("docs/images"))
    given = parser.parse_args()
    draw(given.data, given.out)

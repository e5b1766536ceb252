"""Measure how far the edge of a tile is felt: ``python -m benchmarks.tiles.halo MODEL [MODEL ...]``.

A plane goes through the network whole, and again without its first columns. The two results differ near the cut; the
table says by how much at most, at each distance from it, as a share of the value range, and their root mean square
difference divided by that of what the model changes. The halo of a model's card is the smallest distance at which the
largest difference is below one step of 16 bits, 1.5e-5 (`tile_error` of the card). Planes are crops of the bundled
image, and of FMD and W2S if the folder of `benchmarks/quality/sets.py` is given.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from benchmarks.quality import sets
from napari_restore.models.windows import with_windows
from napari_restore.models.zoo import find_card, load_weights
from napari_restore.samples import sample_path

Plane = NDArray[np.float32]
DISTANCES = (0, 8, 16, 24, 32, 40, 48)


def planes(folder: Path | None, every: int, height: int, width: int) -> Iterator[Plane]:
    """Yield crops, normalised by their value range."""
    found = list(tifffile.imread(sample_path("cells_noisy"))[:1])
    if folder is not None:
        found += [pair.noisy for name in ("fmd", "w2s") for pair in list(sets.SETS[name](folder))[::every]]
    for plane in found:
        low, high = np.percentile(plane, (0.1, 99.9))
        middle = tuple(slice((n - k) // 2, (n + k) // 2) for n, k in zip(plane.shape, (height, width), strict=True))
        yield ((plane[middle] - low) / (high - low)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--every", type=int, default=8, help="take every n-th pair of FMD and W2S")
    parser.add_argument("--window", type=int, help="attention window of Restormer")
    parser.add_argument("--shape", type=int, nargs=2, default=(96, 256), help="height and width of the crops")
    given = parser.parse_args()
    torch.set_flush_denormal(True)
    print("model".ljust(26) + "".join(f"{f'at {distance}':>18}" for distance in DISTANCES))
    for model in given.models:
        card = find_card(model)
        card = card if given.window is None else with_windows(card, given.window)
        network, scale = load_weights(card), card.scale
        cut = given.shape[1] * 3 // 8 // card.alignment * card.alignment
        largest, shares = np.zeros(len(DISTANCES)), []
        for plane in planes(given.folder, given.every, *given.shape):
            with torch.inference_mode():
                whole, part = (
                    network(torch.from_numpy(np.ascontiguousarray(x))[None, None]).numpy()[0, 0]
                    for x in (plane, plane[:, cut:])
                )
            whole = whole[:, cut * scale :]
            change = whole - plane[:, cut:].repeat(scale, 0).repeat(scale, 1)
            rows = [slice(distance * scale, None) for distance in DISTANCES]
            largest = np.maximum(largest, [np.abs(part - whole)[:, each].max() for each in rows])
            shares.append([np.sqrt(np.mean((part - whole)[:, x] ** 2) / np.mean(change[:, x] ** 2)) for x in rows])
        cells = (f"{most:.1e} {100 * share:.2f} %" for most, share in zip(largest, np.mean(shares, 0), strict=True))
        print(model.ljust(26) + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()

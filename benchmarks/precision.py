"""What bfloat16 costs: ``python benchmarks/precision.py EVAL_FOLDER`` (see benchmarks/quality.py for the folder).

Each bundled denoiser restores every pair of both sets in float32 and in bfloat16, and the upscaler a binned copy of
each truth; the loss is the mean difference of PSNR against the truth. It goes into the model's card as `bfloat16_loss`,
and runs whose precision is open use bfloat16 where it is at most 0.02 dB. A last column counts how many different
values the result has on a smooth 16-bit ramp: a network that quantises is seen there even where PSNR does not show it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quality import fmd_pairs, score, w2s_pairs

from napari_restore import api

Plane = NDArray[np.float32]


def binned(plane: Plane) -> Plane:
    return plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean((1, 3))


def restored(model: str, plane: Plane, precision: str) -> Plane:
    return np.asarray(api.restore(plane, model=model, precision=precision, value_range=(0.0, 255.0)), np.float32)


def ramp_values(model: str, precision: str) -> int:
    ramp = np.broadcast_to(np.linspace(1000, 50000, 256).astype(np.uint16), (256, 256)).copy()
    return len(np.unique(api.restore(ramp, model=model, precision=precision, value_range=(0, 65535))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th pair")
    given = parser.parse_args()
    pairs = [
        (pair, fit)
        for pairs, fit in ((fmd_pairs(given.folder), False), (w2s_pairs(given.folder), True))
        for pair in list(pairs)[:: given.every]
    ]
    print("| model | images | float32 | bfloat16 | loss | largest loss | values of a ramp, float32 / bfloat16 |")
    print("|---|---|---|---|---|---|---|")
    for card in api.models():
        if not card.bundled:
            continue
        found = []
        for (_, noisy, truth), fit in pairs:
            image = binned(truth) if card.scale == 2 else noisy
            results = (restored(card.name, image, precision) for precision in ("float32", "bfloat16"))
            found.append([score(truth, result, fit=fit)[0] for result in results])
        exact, rough = np.array(found).T
        values = " / ".join(str(ramp_values(card.name, precision)) for precision in ("float32", "bfloat16"))
        row = (f"{exact.mean():.3f} dB", f"{rough.mean():.3f} dB", f"{(exact - rough).mean():.4f} dB")
        row = (*row, f"{(exact - rough).max():.4f} dB", values)
        print(f"| {card.name} | {len(found)} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

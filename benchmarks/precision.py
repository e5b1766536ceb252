"""Measure the cost of bfloat16: ``python -m benchmarks.precision EVAL_FOLDER``.

Each bundled denoiser restores every pair of both sets (of the colour set, if it takes RGB) in float32 and in bfloat16,
and an upscaler a binned copy of each truth; the loss is the mean difference of PSNR against the truth. With ``--cards``
it goes into the model's card as `bfloat16_loss`, and runs whose precision is open use bfloat16 where it is at most
0.02 dB. A last column counts how many different values the result has on a smooth 16-bit ramp: a network that
quantises is seen there even where PSNR does not show it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.cards import write_field
from benchmarks.quality.enlarging import binned
from benchmarks.quality.scores import score
from benchmarks.quality.sets import SETS, Pair
from napari_restore import api
from napari_restore.models.zoo import weights_path

Plane = NDArray[np.float32]


def restored(model: str, plane: Plane, axes: str, precision: str) -> Plane:
    settings = {"axes": axes, "precision": precision, "value_range": (0.0, 255.0)}
    return np.asarray(api.restore(plane, model=model, **settings), np.float32)


def ramp_values(model: str, precision: str) -> int:
    ramp = np.broadcast_to(np.linspace(1000, 50000, 256).astype(np.uint16), (256, 256)).copy()
    return len(np.unique(api.restore(ramp, model=model, precision=precision, value_range=(0, 65535))))


def losses(model: str, scale: int, pair: Pair) -> list[float | None]:
    """Return the PSNR in float32 and in bfloat16."""
    image = binned(pair.truth, scale) if scale > 1 else np.asarray(pair.noisy, np.float32)
    results = (restored(model, image, pair.axes, precision) for precision in ("float32", "bfloat16"))
    return [score(pair, result, 0.0).psnr for result in results]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th pair")
    parser.add_argument("--models", nargs="+", help="only these")
    parser.add_argument("--cards", action="store_true", help="write the losses into the cards of the models")
    given = parser.parse_args()
    gray = [pair for name in ("fmd", "w2s") for pair in list(SETS[name](given.folder))[:: given.every]]
    colour = list(SETS["rgb"](given.folder))
    print("| model | images | float32 | bfloat16 | loss | largest loss | values of a ramp, float32 / bfloat16 |")
    print("|---|---|---|---|---|---|---|")
    for card in api.models():
        if not card.bundled or (given.models and card.name not in given.models):
            continue
        found = [losses(card.name, card.scale, pair) for pair in (gray if card.in_channels == 1 else colour)]
        exact, rough = np.array(found, np.float64).T
        if given.cards:
            loss = round(float((exact - rough).mean()), 4)
            write_field(weights_path(card).with_suffix(".json"), "bfloat16_loss", loss)
        values = " / ".join(str(ramp_values(card.name, precision)) for precision in ("float32", "bfloat16"))
        row = (f"{exact.mean():.3f} dB", f"{rough.mean():.3f} dB", f"{(exact - rough).mean():.4f} dB")
        row = (*row, f"{(exact - rough).max():.4f} dB", values)
        print(f"| {card.name} | {len(found)} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

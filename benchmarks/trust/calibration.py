"""Whether the uncertainty of a result holds: ``python -m benchmarks.trust.calibration EVAL_FOLDER``.

Crops are denoised with ``uncertainty=True``, and the share of pixels whose error is less than the uncertainty, and than
twice that, is printed: 68.3 and 95.4 % for errors of a normal distribution. Generated images have a known truth. The
truths of real ones are means of 50 frames (FMD) and of 400 (W2S): the variance of their own noise, that of the frame
divided by this number, is added to that of the uncertainty.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zarr

from benchmarks.quality.sets import SETS
from napari_restore import api
from napari_restore.intensity import estimate_noise
from napari_restore.quality import fit_gain_offset

Plane = npt.NDArray[np.float64]
FRAMES = {"generated": np.inf, "fmd": 50, "w2s": 400}


def cases(folder: Path, group: str, count: int, side: int) -> Iterator[tuple[str, npt.NDArray, Plane]]:
    """The middle of evenly chosen images, and their truth on the scale of the noisy image."""
    pairs = list(SETS[group](folder))
    for pair in pairs[:: max(len(pairs) // count, 1)][:count]:
        truth, noisy = pair.truth.astype(float), np.asarray(pair.noisy)
        if group == "w2s":
            gain, offset = fit_gain_offset(truth, noisy.astype(float))
            truth = gain * truth + offset
        inside = tuple(slice((n - side) // 2, (n - side) // 2 + side) for n in noisy.shape)
        yield pair.name, noisy[inside], truth[inside]


def held(noisy: npt.NDArray, truth: Plane, frames: float) -> tuple[float, float]:
    """The shares of pixels whose error is less than the uncertainty, and than twice that."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.zarr"
        api.denoise(noisy, out, axes="YX", dtype="float32", uncertainty=True)
        result, sigma = (
            np.asarray(zarr.open_array(out / name, mode="r")[...], float) for name in ("0", "uncertainty/0")
        )
    noise = estimate_noise(noisy)
    own = noise.variance(truth) / frames if noise is not None else 0.0
    ratio = np.abs(result - truth) / np.sqrt(sigma**2 + own)
    return float((ratio < 1).mean()), float((ratio < 2).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--groups", nargs="+", default=list(FRAMES), choices=list(FRAMES))
    parser.add_argument("--images", type=int, default=6, help="Images of each group.")
    parser.add_argument("--side", type=int, default=256, help="Side of the crops.")
    given = parser.parse_args()
    start = time.perf_counter()
    print("| set | image | within 1 σ | within 2 σ |\n|---|---|---|---|")
    for group in given.groups:
        shares = []
        for name, noisy, truth in cases(given.folder, group, given.images, given.side):
            shares.append(held(noisy, truth, FRAMES[group]))
            print(f"| {group} | {name} | {shares[-1][0]:.1%} | {shares[-1][1]:.1%} |", flush=True)
        one, two = np.mean(shares, axis=0)
        print(f"| {group} | mean | {one:.1%} | {two:.1%} |", flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

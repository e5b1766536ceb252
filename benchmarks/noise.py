"""Compare estimated noise with the real noise: ``python -m benchmarks.noise EVAL_FOLDER``.

What a single frame of FMD differs by from the mean of 50 is its noise. Its standard deviation about the 25th, 50th,
75th and 95th percentile of the levels, and its autocorrelation between neighbours, are put beside what `estimate_noise`
finds in the single frame alone. (W2S cannot be used: its frames and means were each stretched to 8 bits.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.sets import SETS, Pair
from napari_restore.intensity import NoiseEstimate, estimate_noise
from napari_restore.quality import residual_autocorrelation

PERCENTILES = (25, 50, 75, 95)


def sigma_near(noise: NDArray[np.floating], truth: NDArray[np.floating], level: float) -> float:
    """Standard deviation of the noise of the hundredth of the pixels whose truth is nearest to a level."""
    nearest = np.argsort(np.abs(truth - level), axis=None, kind="stable")[: noise.size // 100]
    return float(noise.ravel()[nearest].std())


def compared(pair: Pair, found: NoiseEstimate) -> tuple[list[float], tuple[float, float], tuple[float, float]]:
    """Estimated over real standard deviation at each percentile; real and estimated autocorrelation."""
    truth, noisy = (np.asarray(image, np.float64) for image in (pair.truth, pair.noisy))
    noise = noisy - truth
    levels = np.percentile(truth, PERCENTILES)
    ratios = [float(found.sigma(level)) / sigma_near(noise, truth, level) for level in levels]
    return ratios, residual_autocorrelation(noise), found.correlation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    print("| frame | estimated / real σ at the " + ", ".join(f"{p}th" for p in PERCENTILES), end=" percentile ")
    print("| autocorrelation y, x | estimated |\n|---|---|---|---|")
    for pair in SETS["fmd"](given.folder):
        found = estimate_noise(pair.noisy)
        if found is None:
            print(f"| {pair.name} | no estimate | | |")
            continue
        cells = [" ".join(f"{value:.2f}" for value in values) for values in compared(pair, found)]
        print(f"| {pair.name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

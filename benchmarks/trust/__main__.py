"""How far the assessment of results can be trusted itself: ``python -m benchmarks.trust EVAL_FOLDER``.

Structure is planted in honest results (a filament and spots that were never recorded, a vesicle that is taken away),
with a contrast in standard deviations of the noise of one pixel at that place. Printed are the share of the planted
pixels that lie in the worst 1 % of the residual map, and whether a window at the place is flagged; the share of the
windows of honest results that is flagged; and Fourier ring correlation beside theory on a simulated point spread
function.

Sources are single frames of FMD (confocal, two-photon, wide-field with correlated noise). Honest results are the means
of 50 frames, and with ``--denoise`` those of the bundled denoiser.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks.quality.sets import SETS
from napari_restore import api
from napari_restore.intensity import NoiseEstimate, estimate_noise
from napari_restore.quality.image_resolution import crossing
from napari_restore.quality.resolution import fourier_ring_correlation

Floats = npt.NDArray[np.float64]

SIDE = 256
WORST = 0.01
KINDS = ("filament", "spots", "vesicle")
SIGNIFICANCE = 4.0  # minus the logarithm of the probability from which `assess` flags a window


def plant(kind: str, rng: np.random.Generator) -> Floats:
    """A structure of peak 1: a bent filament, three spots, or a vesicle (a ring)."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    cy, cx = rng.uniform(60, SIDE - 60, 2)
    if kind == "filament":
        along = np.linspace(-25, 25, 200)
        angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.01, 0.01)
        across = bend * along**2
        points = np.zeros((SIDE, SIDE))
        rows = cy + along * np.sin(angle) + across * np.cos(angle)
        columns = cx + along * np.cos(angle) - across * np.sin(angle)
        points[np.rint(rows).astype(int), np.rint(columns).astype(int)] = 1
        shape = ndimage.gaussian_filter(points, 1.2)
    elif kind == "spots":
        places = [(cy + dy, cx + dx) for dy, dx in rng.uniform(-40, 40, (3, 2))]
        shape = np.max([np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * 1.5**2)) for a, b in places], axis=0)
    else:
        shape = np.exp(-((np.hypot(y - cy, x - cx) - 4) ** 2) / (2 * 1.3**2))
    return np.asarray(shape / shape.max())


def with_plant(kind: str, honest: Floats, noise: NoiseEstimate, contrast: float, rng: np.random.Generator) -> tuple:
    """The result with a planted structure, and the mask of the pixels of more than half of its peak."""
    shape = plant(kind, rng)
    there = shape > 0.5
    sigma = noise.sigma(ndimage.gaussian_filter(honest, 2.0))
    return honest + (-1 if kind == "vesicle" else 1) * contrast * sigma * shape, there


def assessed(noisy: npt.NDArray, result: Floats) -> tuple[Floats, Floats]:
    """The residual map and the significance of the windows, both without sign."""
    found = api.assess(noisy, result, axes="YX")
    assert found.residual is not None and found.significance is not None
    return np.abs(found.residual), np.abs(found.significance)


def held(residual: Floats, there: npt.NDArray[np.bool_]) -> float:
    """The share of planted pixels in the worst hundredth of the map."""
    return float((residual[there] >= np.quantile(residual, 1 - WORST)).mean())


def frames(folder: Path, count: int) -> Iterator[tuple[str, npt.NDArray, Floats]]:
    pairs = list(SETS["fmd"](folder))
    for pair in pairs[:: max(len(pairs) // count, 1)][:count]:
        crop = (slice(128, 128 + SIDE), slice(128, 128 + SIDE))
        yield pair.name, np.asarray(pair.noisy)[crop], np.asarray(pair.truth, np.float64)[crop]


def resolution_against_theory() -> None:
    """Random structure behind a Gaussian point spread function: its correlation of two frames is known."""
    print("\n| σ of the PSF, noise | theory | FRC of two frames | difference |\n|---|---|---|---|")
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :]
    for sigma, noise in ((1.5, 0.05), (2.0, 0.05), (2.0, 0.3), (3.0, 0.1)):
        rng = np.random.default_rng(0)
        truth = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma, mode="wrap")
        truth /= truth.std()
        found = crossing(*fourier_ring_correlation(*(truth + rng.normal(0, noise, truth.shape) for _ in range(2))))
        # Signal power S(f) = exp(-4 pi^2 sigma^2 f^2) / its mean; FRC = S / (S + noise^2) = 1/7.
        mean = float(np.exp(-4 * math.pi**2 * sigma**2 * (fy**2 + fx**2)).mean())
        frequency = math.sqrt(-math.log(noise**2 / 6 * mean)) / (2 * math.pi * sigma)
        print(f"| {sigma}, {noise} | {1 / frequency:.2f} px | {found:.2f} px | {found * frequency - 1:+.1%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--contrasts", type=float, nargs="+", default=[3.0, 5.0])
    parser.add_argument("--denoise", action="store_true", help="Use results of the bundled denoiser too.")
    given = parser.parse_args()
    start = time.perf_counter()
    flagged: dict[str, list[float]] = {}
    shares: dict[tuple[str, float], list[float]] = {}
    seen: dict[tuple[str, float], list[bool]] = {}
    for number, (name, noisy, truth) in enumerate(frames(given.folder, given.images)):
        honest = {"mean of 50 frames": truth}
        if given.denoise:
            honest["bundled denoiser"] = np.asarray(api.denoise(noisy, axes="YX", dtype="float32"), np.float64)
        noise = estimate_noise(noisy)
        assert noise is not None
        for what, result in honest.items():
            _, significance = assessed(noisy, result)
            flagged.setdefault(what, []).append(float((significance > SIGNIFICANCE).mean()))
            print(f"{name}, {what}: {flagged[what][-1]:.2%} of windows flagged", flush=True)
        for kind in KINDS:
            for contrast in given.contrasts:
                rng = np.random.default_rng([number, KINDS.index(kind)])
                result, there = with_plant(kind, truth, noise, contrast, rng)
                residual, significance = assessed(noisy, result)
                windows = np.unique(np.argwhere(there) // 16, axis=0).T
                shares.setdefault((kind, contrast), []).append(held(residual, there))
                found = bool((significance[tuple(windows)] > SIGNIFICANCE).any())
                seen.setdefault((kind, contrast), []).append(found)
    print("\n| honest results | windows flagged, mean | worst image |\n|---|---|---|")
    for what, values in flagged.items():
        print(f"| {what} | {np.mean(values):.2%} | {max(values):.2%} |")
    print("\n| planted | contrast | in the worst 1 % of the map, mean | least | flagged |\n|---|---|---|---|---|")
    for (kind, contrast), values in shares.items():
        row = f"{np.mean(values):.0%} | {min(values):.0%} | {sum(seen[kind, contrast])} of {len(values)}"
        print(f"| {kind} | {contrast:g} σ | {row} |")
    resolution_against_theory()
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

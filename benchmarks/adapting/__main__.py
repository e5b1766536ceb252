"""What adapting to noisy images gains, and whether it ever loses: ``python -m benchmarks.adapting EVAL_FOLDER``.

For each image the denoiser is adapted to it alone, and the noisy image is restored with the model that `adapt` names:
PSNR of the parent and of that model, on the range of the truth. Out of domain are images with lines of a scanner,
photographs with the noise of a camera, a series of cells that light up, all simulated, and wide-field frames of FMD,
whose noise is correlated, alone and in pairs; in domain are confocal and two-photon frames of FMD, and W2S.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.io import imread

from benchmarks.quality.sets import SETS, clean_structure
from napari_restore import api
from napari_restore.quality import fit_gain_offset, psnr

Plane = npt.NDArray[np.float64]
"""YX, or TYX of a time series."""
Case = tuple[str, npt.NDArray[np.generic], Plane]

GAIN, OFFSET, READ_NOISE = 4.0, 100.0, 2.0
LINES = 5.0
"""Standard deviation of the offset of a line, in photons, at 60 photons in the brightest pixel."""


def recorded(structure: Plane, seed: int, photons: float = 60.0, lines: float = 0.0) -> tuple[npt.NDArray, Plane]:
    """A recording of a structure by a camera or a scanner, and its expectation, in counts."""
    rng = np.random.default_rng([15, seed])
    unit = (structure - structure.min()) / np.ptp(structure)
    expected = photons * (0.1 + 0.9 * unit)
    noisy = rng.poisson(expected) + rng.normal(0, READ_NOISE, unit.shape)
    noisy = noisy + lines * rng.normal(size=(len(unit), 1))
    counts = np.rint(OFFSET + GAIN * noisy).clip(0, 65535).astype(np.uint16)
    return counts, OFFSET + GAIN * expected


def micrographs(folder: Path, side: int) -> Iterator[Case]:
    """Generated electron micrographs with the noise of a camera: the model was trained for them."""
    for seed in range(3):
        yield f"micrograph {seed}", *recorded(clean_structure("electron_micrograph", side, seed).astype(float), seed)


def photographs(folder: Path, side: int) -> Iterator[Case]:
    """Photographs: structure that a microscope does not show."""
    for seed, path in enumerate(sorted((folder / "natural/Set12").glob("*.png"))[:6]):
        yield path.stem, *recorded(_middle(imread(path).astype(float), side), seed)


def scanned(folder: Path, side: int) -> Iterator[Case]:
    """Means of 50 confocal frames, recorded again with an offset of each line."""
    for seed, path in enumerate(sorted((folder / "fmd/gt").glob("Confocal_*_1.png"))):
        yield path.stem, *recorded(_middle(imread(path).astype(float), side), seed, lines=LINES)


def series(folder: Path, side: int, fields: tuple[str, ...]) -> Iterator[Case]:
    """Two single frames of FMD of the same field as a time series."""
    for field in fields:
        names = [f"{field}_{number}.png" for number in (1, 2)]
        noisy, truth = (
            np.stack([_middle(imread(folder / "fmd" / kind / name), side) for name in names]) for kind in ("raw", "gt")
        )
        yield field, noisy, truth.astype(float)


def calcium(folder: Path, side: int) -> Iterator[Case]:
    """Generated cells that light up and fade, behind a two-photon microscope: few photons, each of another height."""
    size, count = min(side, 192), 16
    y, x = np.mgrid[:size, :size].astype(float)
    for seed in range(2):
        rng = np.random.default_rng([15, 7, seed])
        tissue = ndimage.gaussian_filter(rng.normal(size=(size, size)), 6)
        expected = np.repeat(0.8 + 0.3 * tissue[None] / tissue.std(), count, 0).clip(0.2)
        for _ in range(size * size // 700):
            (cy, cx), radius = rng.uniform(0, size, 2), rng.uniform(3.5, 6)
            shape = 1 / (1 + np.exp((np.hypot(y - cy, x - cx) - radius) / 0.7))
            bright, since = np.full(count, rng.uniform(0.2, 1.0)), np.arange(count) - rng.integers(-6, 3 * count)
            bright += np.where(since >= 0, rng.uniform(1, 4) * np.exp(-since.clip(0) / 5), 0)
            expected += bright[:, None, None] * shape
        photons = rng.poisson(expected)
        noisy = OFFSET + 20 * (rng.gamma(np.maximum(2 * photons, 1e-9)) / 2 + rng.normal(0, 0.2, photons.shape))
        yield f"cells {seed}", np.rint(noisy).clip(0, 65535).astype(np.uint16), OFFSET + 20 * expected


def frames(folder: Path, side: int, modality: str) -> Iterator[Case]:
    """Single frames of FMD."""
    for pair in SETS["fmd"](folder):
        if pair.name.startswith(modality):
            yield pair.name, _middle(pair.noisy, side).astype(np.uint8), _middle(pair.truth.astype(float), side)


def w2s(folder: Path, side: int) -> Iterator[Case]:
    """Single wide-field frames of W2S; the truth gets the gain and offset of the noisy image."""
    for pair in SETS["w2s"](folder):
        noisy, truth = _middle(pair.noisy, side), _middle(pair.truth.astype(float), side)
        gain, offset = fit_gain_offset(truth, noisy.astype(float))
        yield pair.name, noisy.astype(np.uint8), gain * truth + offset


GROUPS = {
    "lines of a scanner": scanned,
    "wide-field, correlated, two frames": lambda folder, side: series(
        folder,
        side,
        ("WideField_BPAE_G", "WideField_BPAE_R"),  # of the third field, FMD has one frame twice
    ),
    "calcium-like series": calcium,
    "wide-field, correlated": lambda folder, side: frames(folder, side, "WideField"),
    "photographs": photographs,
    "electron micrographs": micrographs,
    "confocal": lambda folder, side: frames(folder, side, "Confocal"),
    "confocal, two frames": lambda folder, side: series(folder, side, ("Confocal_FISH", "Confocal_MICE")),
    "two-photon": lambda folder, side: frames(folder, side, "TwoPhoton"),
    "W2S": w2s,
}


def _middle(plane: npt.NDArray, side: int) -> npt.NDArray:
    top, left = (max((length - side) // 2, 0) for length in plane.shape)
    return plane[top : top + side, left : left + side]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--images", type=int, default=2, help="Images of each group.")
    parser.add_argument("--side", type=int, default=512, help="Side of the images; the middle is cut out.")
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--steps", type=int, default=None)
    given = parser.parse_args()
    print("| group | image | method | outcome | loss | parent | result | gain | time |")
    print(f"|{9 * '---|'}")
    gains: dict[str, list[float]] = {}
    for group in given.groups:
        cases = list(GROUPS[group](given.folder, given.side))
        for name, noisy, truth in cases[:: max(len(cases) // given.images, 1)][: given.images]:
            began, axes = time.perf_counter(), "TYX"[-noisy.ndim :]
            with tempfile.TemporaryDirectory() as folder:
                found = api.adapt(
                    noisy, Path(folder) / "own.safetensors", axes=axes, minutes=given.minutes, steps=given.steps
                )
                seconds = time.perf_counter() - began
                usual, own = (
                    psnr(truth, np.asarray(api.denoise(noisy, axes=axes, model=model, dtype="float32")), np.ptp(truth))
                    for model in (api.DENOISER, found.model)
                )
            gains.setdefault(group, []).append(own - usual)
            loss = f"{-100 * found.judgement.gain:+.2f} %" if found.judgement else found.reason
            row = (group, name, found.method, found.outcome, loss, f"{usual:.2f}", f"{own:.2f}", f"{own - usual:+.2f}")
            print(f"| {' | '.join(row)} | {seconds:.0f} s |", flush=True)
    print("\n| group | mean gain, dB | worst |\n|---|---|---|")
    for group, values in gains.items():
        print(f"| {group} | {np.mean(values):+.2f} | {min(values):+.2f} |")


if __name__ == "__main__":
    main()

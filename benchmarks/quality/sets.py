"""The pairs of noisy image and truth that `benchmarks.quality` scores denoisers on.

EVAL_FOLDER holds ``fmd/{raw,gt}`` (Fluorescence Microscopy Denoising set, Zhang et al., CVPR 2019, single frames and
means of 50), ``w2s/{avg1,avg400}`` (Zhou et al., ECCV workshops 2020, single frames and means of 400) and
``natural/Set12``. The generated set needs no folder. No training run has seen any of it: files of these sets are in no
training folder, and the generated images are drawn from seeds that training does not use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import combine_stains, rgb_from_hed
from skimage.io import imread

from napari_restore.samples import sample_path
from napari_restore.training.sample import GAIN, simulated_camera
from napari_restore.training.structures import KINDS, render

__all__ = ["MICROGRAPHS", "SETS", "Pair", "clean_structure", "real_truths"]

Plane = NDArray[np.float32]

PHOTONS = {"bright": 100.0, "dim": 12.0}
"""Photons per pixel of the generated set, at the 99.9 percentile of the structure."""
MICROGRAPHS = tuple(kind for kind in KINDS if kind != "dead_leaves")
"""The kinds of structure that stand for what a microscope looks at."""
SEED = 20_260
"""The generated set's seeds are sequences that begin with this; those of training are single small numbers."""
STAINS = {"nuclei": 0.12, "textures": 0.05, "vesicles": 0.08}
"""Structures that haematoxylin, eosin and DAB stain, and the strongest stain, in scikit-image's units."""
COMPOSITE = 256
"""Side of the colour composites, cut from the middle of the frames."""


@dataclass(frozen=True)
class Pair:
    """A noisy image, what it should have been, and how the two are compared.

    Parameters
    ----------
    name : str
        Unique within its set.
    noisy, truth : numpy.ndarray
        float32 in data units, ``(h, w)`` or ``(h, w, 3)``; the noisy one may have the camera's integer type.
    low, high : float
        What counts as 0 and 1: PSNR and SSIM are on this range, clipped to it, with its width as data range.
    stretched : bool
        Whether truth and noisy image have each their own gain and offset: the result is fitted to the truth first, and
        its brightness is compared with the noisy image's.
    """

    name: str
    noisy: NDArray[np.generic]
    truth: Plane
    low: float = 0.0
    high: float = 255.0
    stretched: bool = False

    @property
    def axes(self) -> str:
        return "YXS" if self.noisy.ndim == 3 else "YX"


def fmd(folder: Path) -> Iterator[Pair]:
    """Single confocal, two-photon and wide-field frames, 8 bits, 512 x 512, and the means of 50."""
    for path in sorted((folder / "fmd/raw").glob("*.png")):
        noisy, truth = (imread(folder / "fmd" / kind / path.name).astype(np.float32) for kind in ("raw", "gt"))
        yield Pair(path.stem, noisy, truth)


def w2s(folder: Path) -> Iterator[Pair]:
    """Single wide-field frames, 8 bits, 512 x 512, and the means of 400; each image has a stretch of its own."""
    for path in sorted((folder / "w2s/avg1").glob("*.tif")):
        truth = imread(folder / "w2s/avg400" / path.name.replace("input_avg1", "target_avg400"))
        name = path.stem.removeprefix("input_avg1_")
        yield Pair(name, imread(path).astype(np.float32), truth.astype(np.float32), stretched=True)


def clean_structure(kind: str, size: int, number: int = 0) -> Plane:
    """One of the generated kinds of structure, behind the optics of a microscope (EM hardly); in [0, 1]."""
    rng = np.random.default_rng([SEED, list(KINDS).index(kind), number])
    sigma = 0.5 if kind in ("electron_micrograph", "textures") else 1.0
    return ndimage.gaussian_filter(render(kind, size, rng), sigma)


def generated(folder: Path) -> Iterator[Pair]:
    """Structure of known truth before a simulated camera: photon noise, read noise, gain and offset; uint16."""
    for kind in MICROGRAPHS:
        for level, photons in PHOTONS.items():
            seed = [SEED, list(KINDS).index(kind), int(photons), 1]
            yield _exposed(f"{kind} {level}", clean_structure(kind, 256), photons, seed)


def _exposed(name: str, clean: Plane, photons: float, seed: list[int]) -> Pair:
    """Simulate a camera image of a clean image, with its expectation as the truth."""
    noisy, truth = simulated_camera(clean, photons, np.random.default_rng(seed))
    low = float(truth.min())
    return Pair(name, noisy, truth.astype(np.float32), low, low + GAIN * photons)


def composites(folder: Path) -> Iterator[Pair]:
    """Colour images of three stainings: the BPAE frames of FMD as red, green and blue, 256 x 256 pixels."""
    for modality in ("Confocal", "TwoPhoton", "WideField"):
        for number in (1, 2):
            noisy, truth = (
                np.stack(
                    [_middle(imread(folder / "fmd" / kind / f"{modality}_BPAE_{c}_{number}.png")) for c in "RGB"], -1
                )
                for kind in ("raw", "gt")
            )
            yield Pair(f"{modality}_{number}", noisy, truth)


def stained(folder: Path) -> Iterator[Pair]:
    """Colour images as of histology: generated structure in three stains before a simulated camera; uint16."""
    for number in range(3):
        amounts = [strength * clean_structure(kind, 256, number) for kind, strength in STAINS.items()]
        clean = combine_stains(np.stack(amounts, -1), rgb_from_hed)
        for level, photons in PHOTONS.items():
            yield _exposed(f"{number} {level}", clean, photons, [SEED, number, int(photons), 2])


def _middle(plane: NDArray[np.generic]) -> Plane:
    top, left = ((size - COMPOSITE) // 2 for size in plane.shape)
    return plane[top : top + COMPOSITE, left : left + COMPOSITE].astype(np.float32)


def set12(folder: Path, sigma: int) -> Iterator[Pair]:
    """The twelve photographs of both papers' tables with Gaussian noise, unclipped, as the papers make it."""
    yield from _photographs(folder / "natural/Set12", sigma)


def set5(folder: Path, sigma: int) -> Iterator[Pair]:
    """Five photographs in colour with Gaussian noise, unclipped, independent in the samples."""
    yield from _photographs(folder / "natural/Set5/HR", sigma)


def _photographs(folder: Path, sigma: int) -> Iterator[Pair]:
    for path in sorted(folder.glob("*.png")):
        truth = imread(path).astype(np.float32)
        noise = np.random.default_rng(0).normal(0, sigma, truth.shape)
        yield Pair(path.stem, (truth + noise).astype(np.float32), truth)


SETS: dict[str, Callable[[Path], Iterator[Pair]]] = {
    "fmd": fmd,
    "w2s": w2s,
    "generated": generated,
    "rgb": composites,
    "stained": stained,
    "set5-25": partial(set5, sigma=25),
    **{f"set12-{sigma}": partial(set12, sigma=sigma) for sigma in (15, 25, 50)},
}


def real_truths(folder: Path) -> Iterator[tuple[str, Plane]]:
    """Clean micrographs for super-resolution, binned 2x2 so that their pixels show what optics passed; in [0, 1].

    The means of 50 and of 400 frames of FMD and W2S (one field of view of each kind), and the bundled cells, which no
    training run has seen either.
    """
    paths = [
        *sorted((folder / "fmd/gt").glob("*_1.png")),
        *sorted((folder / "w2s/avg400").glob("*_08[14]_*.tif")),
    ]
    for path in paths:
        plane = imread(path).astype(np.float32)
        yield path.stem.removeprefix("target_"), _unit(plane.reshape(256, 2, 256, 2).mean((1, 3)))
    cells = tifffile.imread(sample_path("cells_clean"))
    for channel, plane in zip(("nuclei", "actin", "mitochondria"), cells, strict=True):
        yield f"cells {channel}", _unit(plane[:256, :256].astype(np.float32))


def _unit(plane: Plane) -> Plane:
    low, high = np.percentile(plane, (0.1, 99.9))
    scaled: Plane = (plane - low) / (high - low)
    return scaled

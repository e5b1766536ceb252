"""The pool of clean images that training crops are cut from.

Three sources: synthetic structure (`structures`), the photographs and micrographs that scikit-image installs, and,
where a folder is given, the user's own images. Real images carry noise of their own, so they are binned 2x2 first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage import color, data, io

from napari_restore.training.structures import KINDS, Picture, render

__all__ = ["clean_pool", "folder_images", "scikit_image_images", "synthetic_images"]

SCIKIT_IMAGES = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "cat",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "microaneurysms",
    "moon",
    "page",
    "retina",
    "rocket",
)
SUFFIXES = (".tif", ".tiff", ".png", ".jpg")


def _binned(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """2x2 mean of a plane, ``(h, w) -> (h // 2, w // 2)``: halves the noise of a real image."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    binned: Picture = image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3), dtype=np.float32)
    return binned


def _unit_range(image: NDArray[np.floating]) -> Picture:
    """Bring the 0.1 and 99.9 percentiles to 0 and 1 and clip, as a run brings a volume to the network."""
    low, high = np.percentile(image, (0.1, 99.9))
    scaled: Picture = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
    return scaled


def synthetic_images(count: int, rng: np.random.Generator, *, size: int = 256) -> Iterator[tuple[str, Picture]]:
    """Synthetic structures in turn, each blurred by a Gaussian point spread function (EM and textures hardly)."""
    kinds = list(KINDS)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        optical = kind not in ("electron_micrograph", "textures")
        sigma = rng.uniform(0.6, 2.0) if optical else rng.uniform(0.0, 0.8)
        yield kind, _unit_range(ndimage.gaussian_filter(render(kind, size, rng), sigma))


def scikit_image_images() -> Iterator[tuple[str, Picture]]:
    """The images in scikit-image's wheel, as grey planes, binned 2x2 where they are large enough."""
    for name in SCIKIT_IMAGES:
        image = np.asarray(getattr(data, name)())
        grey = color.rgb2gray(image) if image.ndim == 3 else image.astype(np.float32)
        yield name, _unit_range(_binned(grey) if min(grey.shape) >= 400 else grey)


def _planes(path: Path) -> Iterator[NDArray[np.float32]]:
    """Up to four planes of a file: samples of a colour image, or planes spread over a stack."""
    image = np.squeeze(tifffile.imread(path) if path.suffix.lower().startswith(".tif") else io.imread(path))
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        image = np.moveaxis(image[..., :3], -1, 0)
    stack = image.reshape(-1, *image.shape[-2:])
    for index in np.unique(np.linspace(0, len(stack) - 1, 4).astype(int)):
        yield stack[index].astype(np.float32)


def folder_images(folder: Path, *, held_out: tuple[str, ...] = ()) -> Iterator[tuple[str, Picture]]:
    """Planes of all images below a folder, binned 2x2; files whose name starts as one of `held_out` are passed over."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(held_out):
            continue
        for plane in _planes(path):
            small = _binned(plane)
            if min(small.shape) >= 96 and np.ptp(small) > 0:
                yield path.name, _unit_range(small)


def clean_pool(
    rng: np.random.Generator, *, synthetic: int = 420, folder: Path | None = None, held_out: tuple[str, ...] = ()
) -> tuple[list[Picture], NDArray[np.float64]]:
    """All clean images and the probability of each to be drawn.

    Synthetic structure gets half of the draws, scikit-image's images a quarter, the folder the last quarter (or
    theirs goes to the synthetic ones when there is no folder); within a source, each image by the root of its area.
    """
    sources = [
        (0.5 if folder else 0.7, list(synthetic_images(synthetic, rng))),
        (0.25 if folder else 0.3, list(scikit_image_images())),
        (0.25, list(folder_images(folder, held_out=held_out)) if folder else []),
    ]
    images: list[Picture] = []
    chances: list[NDArray[np.float64]] = []
    for share, named in sources:
        if named:
            area = np.sqrt([image.size for _, image in named])
            images += [image for _, image in named]
            chances.append(share * area / area.sum())
    probability = np.concatenate(chances)
    return images, probability / probability.sum()

"""Collect the clean images that training crops are cut from.

There are three sources: synthetic structure (`structures`), the photographs and micrographs that scikit-image installs,
and, if a folder is given, the user's own images. Real images contain noise, so they are binned 2x2 first. Pictures are
``(channels, h, w)`` float32 in [0, 1], gray or RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage import color, data, io

from napari_restore.errors import SourceError
from napari_restore.training.structures import FLUORESCENT, KINDS, Picture, render

__all__ = ["SYNTHETIC", "clean_pool", "folder_images", "scikit_image_images", "synthetic_images"]

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
PHOTOGRAPHS = ("astronaut", "camera", "cat", "coffee", "rocket")
"""Those of them that are photographs; they are used unbinned as well."""

SYNTHETIC = 960
"""Number of synthetic pictures that the bundled weights are trained on."""

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")


def _binned(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the 2x2 mean of a picture, ``(c, h, w) -> (c, h // 2, w // 2)``, which halves the noise of an image."""
    height, width = image.shape[1] // 2 * 2, image.shape[2] // 2 * 2
    pixels = image[:, :height, :width].reshape(-1, height // 2, 2, width // 2, 2)
    binned: Picture = pixels.mean((2, 4), dtype=np.float32)
    return binned


def _unit_range(image: NDArray[np.floating]) -> Picture:
    """Map the 0.1 and 99.9 percentiles to 0 and 1 and clip, as a run normalises an image."""
    low, high = np.percentile(image, (0.1, 99.9))
    scaled: Picture = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
    return scaled


def _synthetic(kind: str, size: int, rng: np.random.Generator) -> Picture:
    """Draw one structure ``(size, size)``, blurred by a Gaussian point spread function (EM and textures only slightly).

    Two in five of the fluorescent ones have a haze: the same structure out of focus. Three in ten are mixtures of two
    kinds.
    """
    picture = render(kind, size, rng)
    if kind not in FLUORESCENT:
        return _unit_range(ndimage.gaussian_filter(picture, rng.uniform(0.0, 0.8)))
    if rng.random() < 0.3:
        picture = picture + rng.uniform(0.2, 1.0) * render(str(rng.choice(FLUORESCENT)), size, rng)
    picture = ndimage.gaussian_filter(picture, rng.uniform(0.6, 2.0))
    if rng.random() < 0.4:
        haze = ndimage.gaussian_filter(picture, rng.uniform(4, 20))
        picture = picture + rng.uniform(0.3, 3.0) * haze
    return _unit_range(picture)


def _coloured(structures: list[Picture], rng: np.random.Generator) -> Picture:
    """Mix three structures into an RGB picture: each fluorescent in one colour, or absorbing stains (Beer-Lambert)."""
    colours = rng.dirichlet((0.6, 0.6, 0.6), 3) * rng.uniform(0.5, 1.5, (3, 1))
    mixed = np.einsum("sc,shw->chw", colours, np.stack(structures))
    return _unit_range(mixed if rng.random() < 0.5 else np.exp(-2 * mixed))


def synthetic_images(
    count: int, rng: np.random.Generator, *, size: int = 256, channels: int = 1
) -> Iterator[tuple[str, Picture]]:
    """Draw synthetic structures, one kind after the other; an RGB picture contains three kinds.

    Parameters
    ----------
    count : int
        Number of pictures.
    rng : numpy.random.Generator
        Source of all randomness.
    size : int
        Height and width in pixels.
    channels : int
        1 for gray, 3 for RGB.

    Yields
    ------
    tuple of str and numpy.ndarray
        Kind, and picture ``(channels, size, size)`` float32 in [0, 1].
    """
    kinds = list(KINDS)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        if channels == 1:
            yield kind, _synthetic(kind, size, rng)[None]
        else:
            others = [kinds[int(rng.integers(len(kinds)))] for _ in range(2)]
            yield kind, _coloured([_synthetic(name, size, rng) for name in (kind, *others)], rng)


def scikit_image_images(channels: int = 1) -> Iterator[tuple[str, Picture]]:
    """Load the images that scikit-image installs, binned 2x2 if they are large enough.

    Parameters
    ----------
    channels : int
        1 for all images in gray, 3 for the images in colour.

    Yields
    ------
    tuple of str and numpy.ndarray
        Name, and picture ``(channels, h, w)`` float32 in [0, 1].
    """
    for name in SCIKIT_IMAGES:
        image = np.asarray(getattr(data, name)())
        if channels == 3 and image.ndim == 2:
            continue
        if channels == 1:
            picture = (color.rgb2gray(image) if image.ndim == 3 else image.astype(np.float32))[None]
        else:
            picture = np.moveaxis(image[..., :3], -1, 0).astype(np.float32)
        yield name, _unit_range(_binned(picture) if min(picture.shape[1:]) >= 400 else picture)
        if name in PHOTOGRAPHS:
            yield name, _unit_range(picture)


def _pictures(path: Path, channels: int) -> Iterator[NDArray[np.float32]]:
    """Read the RGB image of a file; or, for gray, up to four planes: colour samples, or planes of a stack."""
    image = np.squeeze(tifffile.imread(path) if path.suffix.lower().startswith(".tif") else io.imread(path))
    if image.ndim < 2:
        return
    if image.ndim == 3 and image.shape[-1] == 2:  # gray and opacity
        image = image[..., 0]
    coloured = image.ndim == 3 and image.shape[-1] in (3, 4)
    if coloured:
        image = np.moveaxis(image[..., :3], -1, 0)
    if channels == 3:
        if coloured:
            yield image.astype(np.float32)
        return
    stack = image.reshape(-1, 1, *image.shape[-2:])
    for index in np.unique(np.linspace(0, len(stack) - 1, 4).astype(int)):
        yield stack[index].astype(np.float32)


def folder_images(folder: Path, *, channels: int = 1, held_out: tuple[str, ...] = ()) -> Iterator[tuple[str, Picture]]:
    """Load all images below a folder, binned 2x2.

    Parameters
    ----------
    folder : Path
        Folder with TIFF, PNG and JPEG files.
    channels : int
        1 for all images in gray, 3 for the images in colour.
    held_out : tuple of str
        Files whose name starts with one of these are skipped.

    Yields
    ------
    tuple of str and numpy.ndarray
        File name, and picture ``(channels, h, w)`` float32 in [0, 1].

    Raises
    ------
    SourceError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder; give one that contains clean images.")
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(held_out):
            continue
        for picture in _pictures(path, channels):
            small = _binned(picture)
            if min(small.shape[1:]) >= 96 and np.ptp(small) > 0:
                yield path.name, _unit_range(small)


def clean_pool(
    rng: np.random.Generator,
    *,
    channels: int = 1,
    synthetic: int = SYNTHETIC,
    folder: Path | None = None,
    held_out: tuple[str, ...] = (),
    smallest: int = 96,
) -> tuple[list[Picture], NDArray[np.float64]]:
    """Collect all clean images and the probability of each to be drawn.

    Synthetic structure gets half of the draws, scikit-image's images three tenths, and the folder one fifth; without a
    folder, its share goes to the synthetic structure. Within a source, the probability of an image is proportional to
    the square root of its number of values.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    channels : int
        1 for gray, 3 for RGB.
    synthetic : int
        Number of synthetic pictures.
    folder : Path or None
        Folder with further images.
    held_out : tuple of str
        Files in the folder whose name starts with one of these are skipped.
    smallest : int
        Images narrower than this, in pixels, are left out.

    Returns
    -------
    list of numpy.ndarray
        Pictures ``(channels, h, w)`` float32 in [0, 1].
    numpy.ndarray
        Probability of each picture.

    Raises
    ------
    SourceError
        If there is no such folder, or no image in it can be used.
    """
    own = list(folder_images(folder, channels=channels, held_out=held_out)) if folder else []
    if folder and not own:
        raise SourceError(
            f"{folder} contains no image to train {channels}-channel networks on: {', '.join(SUFFIXES)} of 192 pixels "
            "or more a side; add some, or leave the folder out."
        )
    sources = [
        (0.5 if own else 0.7, list(synthetic_images(synthetic, rng, channels=channels))),
        (0.3, list(scikit_image_images(channels))),
        (0.2, own),
    ]
    images: list[Picture] = []
    chances: list[NDArray[np.float64]] = []
    for share, named in sources:
        large = [image for _, image in named if min(image.shape[1:]) >= smallest]
        if large:
            area = np.sqrt([image.size for image in large])
            images += large
            chances.append(share * area / area.sum())
    probability = np.concatenate(chances)
    return images, probability / probability.sum()

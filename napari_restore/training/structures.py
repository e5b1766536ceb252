"""Synthetic clean micrographs: structure before optics and camera.

Each function draws one kind of structure as a float32 array ``(size, size)`` in [0, 1]; `render` draws a kind by name.
All randomness comes from the generator that is passed in, so a seed gives the same pictures everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

__all__ = ["FLUORESCENT", "KINDS", "render"]

Picture = NDArray[np.float32]


def _normalised(image: NDArray[np.floating]) -> Picture:
    low, high = float(image.min()), float(image.max())
    return ((image - low) / max(high - low, 1e-6)).astype(np.float32)


def _cloud(size: int, rng: np.random.Generator, exponent: float) -> Picture:
    """Draw fractal noise with an amplitude spectrum of ``1 / frequency**exponent``."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**exponent
    return _normalised(np.fft.irfft2(spectrum, s=(size, size)))


def _stamp(image: Picture, points: NDArray[np.floating], weights: NDArray[np.floating]) -> None:
    """Add point sources by bilinear weights; points outside are dropped."""
    base = np.floor(points).astype(int)
    fraction = points - base
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dy - fraction[:, 0]) * np.abs(1 - dx - fraction[:, 1]) * weights
            y, x = base[:, 0] + dy, base[:, 1] + dx
            inside = (y >= 0) & (x >= 0) & (y < image.shape[0]) & (x < image.shape[1])
            np.add.at(image, (y[inside], x[inside]), share[inside].astype(np.float32))


def filaments(size: int, rng: np.random.Generator) -> Picture:
    """Draw curves like microtubules or actin: random walks of the direction, of varied thickness and brightness."""
    image = np.zeros((size, size), np.float32)
    bundles = np.zeros_like(image)
    for _ in range(int(rng.integers(8, 60))):
        steps = int(size * rng.uniform(0.6, 3.0))
        turn = rng.uniform(0.002, 0.05)
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.standard_normal(steps) * turn)
        path = rng.uniform(-0.1, 1.1, 2) * size + 0.5 * np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 1), 0)
        fading = 1 + 0.5 * np.sin(np.linspace(0, rng.uniform(1, 9), steps) + rng.uniform(0, 6))
        target = bundles if rng.random() < 0.3 else image
        _stamp(target, path, rng.lognormal(0, 0.6) * fading)
    sharp = ndimage.gaussian_filter(image, rng.uniform(0.4, 0.9))
    return _normalised(sharp + 3 * ndimage.gaussian_filter(bundles, rng.uniform(1.0, 2.5)))


def nuclei(size: int, rng: np.random.Generator) -> Picture:
    """Draw ellipses with an irregular outline, textured inside, with darker nucleoli."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    image = np.zeros((size, size), np.float32)
    texture = _cloud(size, rng, rng.uniform(0.8, 1.6))
    radius = size * rng.uniform(0.03, 0.14)
    for _ in range(int(rng.integers(5, 10 + int(0.3 * (size / radius) ** 2)))):
        cy, cx = rng.uniform(-0.05, 1.05, 2) * size
        angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
        u = (np.cos(angle) * (x - cx) + np.sin(angle) * (y - cy)) / radius
        v = (-np.sin(angle) * (x - cx) + np.cos(angle) * (y - cy)) / (radius * stretch)
        wobble = 1 + rng.uniform(0, 0.12) * np.sin(rng.integers(2, 5) * np.arctan2(v, u) + rng.uniform(0, 6))
        inside = 1 / (1 + np.exp(np.clip((np.hypot(u, v) - wobble) * radius / rng.uniform(0.4, 1.5), -30, 30)))
        body = inside * rng.lognormal(0, 0.4) * (0.5 + rng.uniform(0, 1) * texture)
        for _ in range(int(rng.integers(0, 4))):
            nu, nv = rng.uniform(-0.5, 0.5, 2)
            body *= 1 - rng.uniform(0.2, 0.7) * np.exp(-((u - nu) ** 2 + (v - nv) ** 2) / rng.uniform(0.01, 0.06))
        image = np.maximum(image, body)
    return _normalised(image)


def _voronoi(size: int, rng: np.random.Generator, cells: int) -> tuple[Picture, NDArray[np.intp]]:
    """Return the distance to the nearest wall between cells in pixels, and the cell of each pixel."""
    seeds = rng.uniform(-0.1, 1.1, (cells, 2)) * size
    warp = [size * rng.uniform(0.0, 0.08) * (_cloud(size, rng, 1.8) - 0.5) for _ in range(2)]
    grid = np.mgrid[:size, :size].astype(np.float32)
    points = np.stack([grid[0] + warp[0], grid[1] + warp[1]], -1)
    distance, index = cKDTree(seeds).query(points.reshape(-1, 2), k=2)
    wall = (distance[:, 1] - distance[:, 0]).reshape(size, size) / 2
    return wall.astype(np.float32), index[:, 0].reshape(size, size)


def membranes(size: int, rng: np.random.Generator) -> Picture:
    """Draw the cell outlines of a tissue: thin bright walls of uneven brightness, some cells filled."""
    wall, cell = _voronoi(size, rng, int(rng.integers(8, 120)))
    thickness = rng.uniform(0.5, 1.5)
    bright = 0.4 + _cloud(size, rng, 1.5)
    filled = rng.uniform(0, 0.3) * rng.random(cell.max() + 1)[cell]
    return _normalised(np.exp(-((wall / thickness) ** 2)) * bright + filled)


def spots(size: int, rng: np.random.Generator) -> Picture:
    """Draw diffraction-limited puncta of widely varied brightness on a haze."""
    image = np.zeros((size, size), np.float32)
    count = int(size * size * 10 ** rng.uniform(-3.7, -1.9))
    _stamp(image, rng.uniform(0, size, (count, 2)), rng.lognormal(0, 0.8, count))
    image = _normalised(ndimage.gaussian_filter(image, rng.uniform(0.5, 1.4)))
    return _normalised(image + rng.uniform(0, 0.4) * _cloud(size, rng, 1.8))


def vesicles(size: int, rng: np.random.Generator) -> Picture:
    """Draw small rings and discs: vesicles, mitochondria in section, beads."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    image = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(15, 120))):
        cy, cx = rng.uniform(0, size, 2)
        radius, edge = rng.uniform(1.5, 9), rng.uniform(0.5, 1.2)
        box = (slice(max(int(cy) - 16, 0), int(cy) + 17), slice(max(int(cx) - 16, 0), int(cx) + 17))
        distance = np.hypot((y[box] - cy) * rng.uniform(0.8, 1.25), x[box] - cx) - radius
        ring = np.exp(-((distance / edge) ** 2))
        disc = 1 / (1 + np.exp(np.clip(distance / edge, -30, 30)))
        image[box] += rng.lognormal(0, 0.5) * (ring if rng.random() < 0.6 else disc)
    return _normalised(image + rng.uniform(0, 0.5) * _cloud(size, rng, 1.7))


def electron_micrograph(size: int, rng: np.random.Generator) -> Picture:
    """Draw a section as in EM: dark membranes and dark granules on textured gray cytoplasm."""
    wall, cell = _voronoi(size, rng, int(rng.integers(10, 90)))
    gray = 0.55 + 0.25 * rng.random(cell.max() + 1)[cell]
    gray = gray + rng.uniform(0.05, 0.4) * (_cloud(size, rng, rng.uniform(0.8, 1.4)) - 0.5)
    image = gray * (1 - rng.uniform(0.5, 0.9) * np.exp(-((wall / rng.uniform(0.8, 2.0)) ** 2)))
    organelles, _ = _voronoi(size, rng, int(rng.integers(40, 300)))
    patch = _cloud(size, rng, 1.8) > rng.uniform(0.5, 0.75)
    image = image - 0.35 * np.exp(-((organelles / rng.uniform(0.6, 1.2)) ** 2)) * ndimage.gaussian_filter(
        patch.astype(np.float32), 1.0
    )
    granules = np.zeros((size, size), np.float32)
    count = int(rng.integers(0, size))
    _stamp(granules, rng.uniform(0, size, (count, 2)), rng.uniform(0.5, 1.5, count))
    return _normalised(image - rng.uniform(0.5, 3) * ndimage.gaussian_filter(granules, rng.uniform(0.7, 1.6)))


def textures(size: int, rng: np.random.Generator) -> Picture:
    """Draw fractal clouds, with gratings and hard-edged patches."""
    image = _cloud(size, rng, rng.uniform(1.1, 1.9))
    if rng.random() < 0.5:
        y, x = np.mgrid[:size, :size].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(3.0, 20)
        phase = (np.cos(angle) * y + np.sin(angle) * x) / period + rng.uniform(0, 3) * _cloud(size, rng, 1.8)
        image = image * (0.5 + 0.5 * np.sin(2 * np.pi * phase))
    if rng.random() < 0.5:
        _, cell = _voronoi(size, rng, int(rng.integers(4, 60)))
        image = image * rng.uniform(0.2, 1.0, cell.max() + 1)[cell]
    return _normalised(image)


def dead_leaves(size: int, rng: np.random.Generator) -> Picture:
    """Draw opaque ellipses and boxes of all sizes that occlude one another, shaded, plain, mottled or striped.

    With radii of density ``1 / r**3`` its statistics are those of photographs at every scale (Lee, Mumford & Huang,
    IJCV 41, 2001), and networks trained on it restore photographs (Achddou, Gousseau & Ladjal, SSVM 2021).
    """
    y, x = np.mgrid[:size, :size].astype(np.float32)
    clouds = [_cloud(size, rng, exponent) - 0.5 for exponent in rng.uniform(0.6, 1.8, 3)]
    image = _cloud(size, rng, 1.8)
    smallest, largest = rng.uniform(1.5, 6), size * rng.uniform(0.2, 0.6)
    for _ in range(int(rng.integers(800, 3000))):
        radius = (smallest**-2 - rng.random() * (smallest**-2 - largest**-2)) ** -0.5
        cy, cx = rng.uniform(-0.1, 1.1, 2) * size
        box = tuple(slice(max(int(c - 2 * radius - 2), 0), max(int(c + 2 * radius + 3), 0)) for c in (cy, cx))
        dy, dx, angle = y[box] - cy, x[box] - cx, rng.uniform(0, np.pi)
        u = np.cos(angle) * dx + np.sin(angle) * dy
        v = (np.cos(angle) * dy - np.sin(angle) * dx) / rng.uniform(0.4, 1.0)
        outline = np.hypot(u, v) if rng.random() < 0.6 else np.maximum(np.abs(u), np.abs(v))
        inside = 1 / (1 + np.exp(np.clip(3 * (outline - radius), -30, 30)))
        shade = rng.random() + rng.normal(0, 0.15) * u / radius
        style = rng.random()
        if style < 0.4:
            shade = shade + rng.uniform(0, 0.8) * clouds[int(rng.integers(3))][box]
        elif style < 0.55:
            shade = shade + rng.uniform(0.02, 0.3) * np.sin(2 * np.pi * v / rng.uniform(2.5, 12))
        image[box] += inside * (shade - image[box])
    return _normalised(image)


FLUORESCENT = ("filaments", "nuclei", "membranes", "spots", "vesicles")
"""Kinds that emit light, on a dark background."""

KINDS: dict[str, Callable[[int, np.random.Generator], Picture]] = {
    "filaments": filaments,
    "nuclei": nuclei,
    "membranes": membranes,
    "spots": spots,
    "vesicles": vesicles,
    "electron_micrograph": electron_micrograph,
    "textures": textures,
    "dead_leaves": dead_leaves,
}


def render(kind: str, size: int, rng: np.random.Generator) -> Picture:
    """Draw one picture of a kind.

    Parameters
    ----------
    kind : str
        Key of `KINDS`.
    size : int
        Height and width in pixels.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    numpy.ndarray
        Picture ``(size, size)`` float32 in [0, 1].
    """
    return KINDS[kind](size, rng)

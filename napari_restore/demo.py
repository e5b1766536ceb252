"""Denoise the bundled real image, and compare the result with the known truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_restore import api
from napari_restore.files import fresh_file
from napari_restore.images.writing import ome_zarr
from napari_restore.quality.metrics import psnr, ssim
from napari_restore.samples import sample_path

__all__ = ["DemoResult", "run_demo"]

Stack = NDArray[Any]


@dataclass(frozen=True)
class DemoResult:
    """Files and scores of the demonstration.

    Attributes
    ----------
    zarr : Path
        The restored OME-Zarr.
    picture : Path
        PNG file with the noisy, the restored and the clean image.
    scores : dict of str to tuple of float
        For each channel, and for their mean: PSNR of the noisy and the restored image in dB, and SSIM of both.
    """

    zarr: Path
    picture: Path
    scores: dict[str, tuple[float, float, float, float]]


def _scores(names: list[str], noisy: Stack, restored: Stack, clean: Stack) -> dict[str, tuple[float, ...]]:
    """Compute PSNR and SSIM of each channel. The data range is the span of the clean channel."""
    rows: dict[str, tuple[float, ...]] = {}
    for name, *planes in zip(names, noisy, restored, clean, strict=True):
        before, after, truth = (plane.astype(np.float64) for plane in planes)
        span = float(np.ptp(truth))
        rows[name] = tuple(measure(truth, image, span) for measure in (psnr, ssim) for image in (before, after))
    rows["mean"] = tuple(float(np.mean(column)) for column in zip(*rows.values(), strict=True))
    return rows


def _composite(stack: Stack, clean: Stack, colours: list[str]) -> NDArray[np.float64]:
    """Add the channels ``(c, y, x)`` in their colours to RGB in [0, 1], with the contrast limits of the clean image."""
    mixed = np.zeros((*stack.shape[1:], 3))
    for plane, truth, colour in zip(stack, clean, colours, strict=True):
        low, high = float(truth.min()), float(np.percentile(truth, 99.8))
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        mixed += np.clip((plane.astype(np.float64) - low) / (high - low), 0, 1)[..., None] * rgb
    return np.clip(mixed, 0, 1)


def _save_picture(path: Path, noisy: Stack, restored: Stack, clean: Stack, colours: list[str]) -> None:
    """Save noisy, restored and clean side by side: above, the whole image; below, a detail magnified three times."""
    from skimage.io import imsave

    height, width = noisy.shape[1:]
    detail = (
        slice(None),
        slice(height * 2 // 5, height * 2 // 5 + height // 3),
        slice(width // 2, width // 2 + width // 3),
    )
    gap = np.ones((height, 6, 3))
    rows = []
    for crop, times in ((slice(None), 1), (detail, 3)):
        panels = []
        for stack in (noisy, restored, clean):
            panel = np.kron(_composite(stack[crop], clean[crop], colours), np.ones((times, times, 1)))
            full = np.ones((height, width, 3))
            full[: panel.shape[0], : panel.shape[1]] = panel[:height, :width]
            panels += [gap, full]
        rows += [np.concatenate(panels[1:], axis=1), np.ones((6, 3 * width + 12, 3))]
    with fresh_file(path) as fresh:
        imsave(fresh, (np.concatenate(rows[:-1]) * 255).round().astype(np.uint8), check_contrast=False)


def run_demo(out: Path, **settings: Any) -> DemoResult:
    """Denoise the bundled image, and measure the result.

    Parameters
    ----------
    out : Path
        Folder for ``cells_denoised.zarr`` and ``cells_before_after.png``. Existing ones are replaced.
    **settings : Any
        See `napari_restore.api.Settings`, and `progress`.

    Returns
    -------
    DemoResult
        The files written, and the scores.

    Raises
    ------
    RestoreError
        See `napari_restore.api.restore`.
    """
    source = sample_path("cells_noisy")
    zarr, picture = out / "cells_denoised.zarr", out / "cells_before_after.png"
    api.denoise(source, zarr, overwrite=True, **settings)
    channels = api.open_image(source).channels
    noisy, clean = tifffile.imread(source), tifffile.imread(sample_path("cells_clean"))
    restored = np.asarray(ome_zarr.open_level(zarr, 0)[...])
    scores = _scores([channel.name or "" for channel in channels], noisy, restored, clean)
    _save_picture(picture, noisy, restored, clean, [channel.color or "FFFFFF" for channel in channels])
    return DemoResult(zarr, picture, scores)  # type: ignore[arg-type]

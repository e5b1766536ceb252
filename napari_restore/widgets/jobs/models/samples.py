"""Show what a model does: a part of a bundled image before and after it, restored on demand and kept in the cache."""

from __future__ import annotations

__all__ = ["Sample", "kept_sample", "make_sample"]

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore import api
from napari_restore.engine.hardware.machine_cache import cache_folder, networks_digest
from napari_restore.files import write_whole
from napari_restore.fingerprint import digest

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard

_SIDE = 144
"""Height and width of the part, in pixels of the restored image."""
_WHERE = (1, 40, 140)
"""Channel, first row and first column of the part: actin fibres beside background."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A part of the bundled image, before and after a model.

    Attributes
    ----------
    before, after : numpy.ndarray
        uint8, of the same shape ``(y, x)``. For a model that super-resolves, `before` has each pixel repeated.
    gain : float or None
        Gain in PSNR over `before` in dB, with the clean image as truth; None for models that super-resolve, as the
        clean image does not have their pixels.
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    gain: float | None


def kept_sample(card: ModelCard) -> Sample | None:
    """Return the sample of a model from the cache; None if it has not been made, or cannot be read.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    """
    try:
        with np.load(_path(card), allow_pickle=False) as kept:
            before, after, gain = kept["before"], kept["after"], float(kept["gain"])
    except (OSError, ValueError, KeyError, EOFError, TypeError):
        return None
    if not before.dtype == after.dtype == np.uint8 or before.shape != after.shape or before.ndim != 2:
        return None
    return Sample(before, after, None if np.isnan(gain) else gain)


def make_sample(model: str, card: ModelCard) -> Sample:
    """Restore the part of the bundled image with a model, and keep it. Call this on a worker thread.

    Parameters
    ----------
    model : str
        Name of the model, or path of its checkpoint; its weights are on this machine.
    card : ModelCard
        Its card.

    Raises
    ------
    RestoreError
        If the weights cannot be loaded.
    """
    from napari_restore.quality.metrics import psnr
    from napari_restore.samples import sample_path

    channel, top, left = _WHERE
    side = _SIDE // card.scale
    here = (slice(channel, channel + 1), slice(top, top + side), slice(left, left + side))
    noisy, clean = (api.open_image(sample_path(name)).read(here)[0] for name in ("cells_noisy", "cells_clean"))
    given = noisy if card.scale == 1 else clean  # models that super-resolve keep noise
    restored = np.asarray(api.restore(given, model=model, axes="YX", dtype="float32", progress=False))
    low, high = (float(value) for value in np.percentile(clean, (0.5, 99.8)))
    before = given.repeat(card.scale, axis=0).repeat(card.scale, axis=1)
    span = float(np.ptp(clean))
    gain = None if card.scale > 1 else float(psnr(clean, restored, span) - psnr(clean, noisy, span))
    made = Sample(_shown(before, low, high), _shown(restored, low, high), gain)
    _keep(card, made)
    return made


def _shown(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    return np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def _keep(card: ModelCard, made: Sample) -> None:
    content = io.BytesIO()
    gain = np.nan if made.gain is None else made.gain
    np.savez_compressed(content, before=made.before, after=made.after, gain=gain)
    path = _path(card)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    except OSError as error:
        _log.info("%s cannot be written (%s); the sample is made again next time", path, error)


def _path(card: ModelCard) -> Path:
    key = {"weights": card.sha256 or card.name, "networks": networks_digest(), "part": [*_WHERE, _SIDE], "version": 1}
    return cache_folder("model-samples") / f"{card.name}-{digest(key)[:16]}.npz"

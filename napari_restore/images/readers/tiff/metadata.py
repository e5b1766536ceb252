"""Define the metadata that are read from each dialect of TIFF."""

from __future__ import annotations

__all__ = ["TiffMetadata", "positive"]

import math
from dataclasses import dataclass, field
from typing import Any

from napari_restore.images.image import Channel


@dataclass(frozen=True)
class TiffMetadata:
    """Pixel size, units, channels, origin and notes, as in `napari_restore.images.image.Image`."""

    pixel_size: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    origin: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def positive(value: Any) -> float | None:
    """Return a positive finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None

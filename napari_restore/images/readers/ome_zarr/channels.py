"""Read the omero block of OME-Zarr: names, colours and display limits of channels. Invalid parts are only noted."""

from __future__ import annotations

__all__ = ["read_channels"]

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from napari_restore.images.image import Channel

_DIGITS = re.compile(r"[0-9A-F]{6}")


def read_channels(omero: Any, count: int) -> tuple[tuple[Channel, ...], tuple[str, ...]]:
    """Read names, colours and display limits of channels.

    Parameters
    ----------
    omero : object
        The omero block, valid or not.
    count : int
        Number of channels of the image.

    Returns
    -------
    channels : tuple of Channel
        All channels; empty if the block does not describe each of them.
    notes : tuple of str
        One sentence for each part that is left out.

    Examples
    --------
    >>> read_channels({"channels": [{"label": "GFP", "color": "0f0", "window": None}]}, 1)
    ((Channel(name='GFP', color='00FF00', window=None, shown=True),), ())
    """
    described = omero.get("channels") if isinstance(omero, Mapping) else omero
    if not described:
        return (), ()
    if not isinstance(described, Sequence) or not all(isinstance(channel, Mapping) for channel in described):
        return (), ("The omero block of the source is no list of channels; it is left out.",)
    if len(described) != count:
        return (), (
            f"The omero block of the source describes {len(described)} channels, and the image has {count}; it is left "
            "out.",
        )
    read = [_channel(number, channel) for number, channel in enumerate(described)]
    return tuple(channel for channel, _ in read), tuple(note for _, notes in read for note in notes)


def _channel(number: int, described: Mapping[str, Any]) -> tuple[Channel, list[str]]:
    label, colour, window = (described.get(name) for name in ("label", "color", "window"))
    digits, limits = _six_digits(colour), _limits(window)
    notes = []
    if digits is None and colour is not None:
        notes.append(f"The colour {colour!r} of channel {number} is not six hexadecimal digits; it is left out.")
    if limits is None and isinstance(window, Mapping) and {window.get("start"), window.get("end")} != {None}:
        shown = f"{window.get('start')!r} to {window.get('end')!r}"
        notes.append(
            f"The display limits {shown} of channel {number} are no rising pair of numbers; they are left out."
        )
    active = described.get("active")
    return Channel(None if label is None else str(label), digits, limits, active is None or bool(active)), notes


def _six_digits(colour: Any) -> str | None:
    """Return a colour as RRGGBB. Three digits are each doubled; of eight digits the opacity is removed."""
    if not isinstance(colour, str):
        return None
    digits = colour.strip().removeprefix("#").upper()
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    if len(digits) == 8:
        digits = digits[:6] if _DIGITS.fullmatch(digits[2:]) else ""
    return digits if _DIGITS.fullmatch(digits) else None


def _limits(window: Any) -> tuple[float, float] | None:
    if not isinstance(window, Mapping):
        return None
    try:
        low, high = float(window["start"]), float(window["end"])
    except (KeyError, TypeError, ValueError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None

"""Convert names of units to the spelling of OME-Zarr."""

from __future__ import annotations

__all__ = ["means_no_unit", "named_units", "unit_name"]

import re
import unicodedata
from collections.abc import Mapping

_NAMES = {
    "angstrom": ("å", "angstroms", "ångström", "ångströms", "ångstrom"),
    "picometer": ("pm",),
    "nanometer": ("nm",),
    "micrometer": ("µm", "um", "µ", "micron", "microns", "mikron", "mikrometer"),
    "millimeter": ("mm",),
    "centimeter": ("cm",),
    "meter": ("m",),
    "inch": ("in", "inches"),
    "foot": ("ft",),
    "nanosecond": ("ns",),
    "microsecond": ("µs", "us"),
    "millisecond": ("ms", "msec"),
    "second": ("s", "sec", "secs"),
    "minute": ("min", "mins"),
    "hour": ("h", "hr", "hrs"),
    "day": ("d",),
}

_BY_SPELLING = {spelling: name for name, spellings in _NAMES.items() for spelling in (name, f"{name}s", *spellings)}


def unit_name(spelling: object) -> str | None:
    """Return the OME-Zarr name of a unit.

    Parameters
    ----------
    spelling : object
        Symbol or name in British or American spelling, as in a file; anything but a string is unknown.

    Returns
    -------
    str or None
        Such as "micrometer" or "second"; None for an unknown unit and for pixels.

    Examples
    --------
    >>> unit_name("µm")
    'micrometer'
    """
    if not isinstance(spelling, str):
        return None
    # Compatibility normalisation: the sign ㎛ becomes its letters, and the signs µ and Å the letters μ and Å.
    plain = unicodedata.normalize("NFKC", _ESCAPED.sub(lambda code: chr(int(code[1], 16)), spelling.strip()))
    # UTF-8 that was read as Latin-1 has an Â in front of the sign.
    plain = plain.lower().replace("â\N{GREEK SMALL LETTER MU}", "µ").replace("\N{GREEK SMALL LETTER MU}", "µ")
    return _BY_SPELLING.get(plain) or _BY_SPELLING.get(plain.replace("metre", "meter"))


_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
"""A character as ImageJ writes it."""
_NONE = frozenset({"", "pixel", "pixels", "px", "unit", "none"})
"""Spellings that mean no unit."""


def means_no_unit(spelling: object) -> bool:
    """Check whether a spelling means that there is no unit, such as "pixel" or None."""
    return spelling is None or str(spelling).strip().lower() in _NONE


def named_units(spellings: Mapping[str, object]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the OME-Zarr names of the units of axes, and a note for each unit that is unknown.

    Parameters
    ----------
    spellings : mapping of str to object
        Spelling in the file, or None, by axis.

    Returns
    -------
    units : dict of str to str
        The known units, by axis.
    notes : tuple of str
        Notes for `napari_restore.images.image.Image`.

    Examples
    --------
    >>> named_units({"Z": "furlong", "Y": "um", "X": "pixel"})[0]
    {'Y': 'micrometer'}
    """
    units = {axis: name for axis, spelling in spellings.items() if (name := unit_name(spelling))}
    unknown: dict[str, list[str]] = {}
    for axis, spelling in spellings.items():
        if axis not in units and not means_no_unit(spelling):
            unknown.setdefault(str(spelling).strip(), []).append(axis)
    return units, tuple(
        f"The unit {text!r} of {' and '.join(axes)} is unknown; the pixel size is kept as a number without a unit."
        for text, axes in unknown.items()
    )

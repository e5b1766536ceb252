"""Convert names of units to the spelling of OME-Zarr."""

from __future__ import annotations

__all__ = ["unit_name"]

_NAMES = {
    "angstrom": ("å", "angstroms"),
    "picometer": ("pm",),
    "nanometer": ("nm",),
    "micrometer": ("µm", "um", "micron", "microns"),
    "millimeter": ("mm",),
    "centimeter": ("cm",),
    "meter": ("m",),
    "inch": ("in", "inches"),
    "foot": ("ft",),
    "nanosecond": ("ns",),
    "microsecond": ("µs", "us"),
    "millisecond": ("ms", "msec"),
    "second": ("s", "sec"),
    "minute": ("min",),
    "hour": ("h", "hr"),
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
    plain = spelling.strip().replace("\\u00B5", "µ").replace("\N{GREEK SMALL LETTER MU}", "µ")
    plain = plain.lower().replace("\N{ANGSTROM SIGN}".lower(), "å")
    return _BY_SPELLING.get(plain) or _BY_SPELLING.get(plain.replace("metre", "meter"))

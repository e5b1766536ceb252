"""Write numbers, sizes, durations and shapes as text, and read sizes."""

from __future__ import annotations

import re

__all__ = [
    "byte_count",
    "counted",
    "human_bytes",
    "human_duration",
    "human_shape",
    "percent",
    "percent_span",
]


def counted(count: int, thing: str) -> str:
    """Write a count with its noun.

    Parameters
    ----------
    count : int
        How many there are.
    thing : str
        The noun in the singular; its plural must end in "s".

    Examples
    --------
    >>> counted(1, "block"), counted(2, "block")
    ('1 block', '2 blocks')
    """
    return f"{count} {thing}{'' if count == 1 else 's'}"


def human_bytes(count: float) -> str:
    """Write a number of bytes with a decimal unit.

    Parameters
    ----------
    count : float
        Number of bytes.

    Examples
    --------
    >>> human_bytes(7_500_000_000)
    '7.5 GB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        digits = 0 if unit == "B" else 1
        if round(count, digits) < 1000 or unit == "TB":
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    raise AssertionError


def byte_count(text: str) -> int:
    """Read a number of bytes with its unit, the inverse of `human_bytes`.

    Parameters
    ----------
    text : str
        A number, and a decimal (``"8GB"``) or binary unit (``"8GiB"``); without a unit, the number counts bytes.

    Raises
    ------
    ValueError
        If `text` is not such a number.

    Examples
    --------
    >>> byte_count("7.5 GB"), byte_count("2KiB"), byte_count("100")
    (7500000000, 2048, 100)
    """
    found = re.fullmatch(r"([0-9]+[.]?[0-9]*|[.][0-9]+) ?([kKMGT]?)(i?)B?", text.strip())
    if found is None:
        raise ValueError("write a number of bytes with its unit, such as '8GB' or '500MB'")
    power = "KMGT".find(found[2].upper()) + 1 if found[2] else 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def human_duration(seconds: float) -> str:
    """Write a duration in seconds, minutes, hours or days: the largest unit of which it holds about two.

    Parameters
    ----------
    seconds : float
        Duration in seconds, not negative. Less than a second is written as "1 s", because estimates are not closer.

    Examples
    --------
    >>> [human_duration(seconds) for seconds in (0.2, 40, 840, 11_500, 260_000)]
    ['1 s', '40 s', '14 min', '3.2 h', '3.0 days']
    """
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 7200 - 30:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def human_shape(axes: str, shape: tuple[int, ...]) -> str:
    """Write a shape with its axes.

    Parameters
    ----------
    axes : str
        One letter for each axis.
    shape : tuple of int
        Length of each axis.

    Examples
    --------
    >>> human_shape("ZYX", (40, 2048, 2048))
    'Z 40 · Y 2048 · X 2048'
    """
    return " · ".join(f"{axis} {length}" for axis, length in zip(axes, shape, strict=True))


def percent(share: float) -> str:
    """Write a share as a percentage with two digits.

    Parameters
    ----------
    share : float
        The share, 1 for 100 %.
    """
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def percent_span(levels: tuple[float, float]) -> str:
    """Write the smallest and largest of several shares as percentages.

    Parameters
    ----------
    levels : (float, float)
        The shares, 1 for 100 %.

    Examples
    --------
    >>> percent_span((0.008, 0.28)), percent_span((0.1, 0.1))
    ('0.8–28 %', '10 %')
    """
    low, high = (percent(level) for level in levels)
    return high if low == high else f"{low.removesuffix(' %')}–{high}"

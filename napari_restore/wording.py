"""Numbers, shapes and plans in words."""

from __future__ import annotations

import re

__all__ = ["byte_count", "counted", "human_bytes", "human_shape"]


def counted(count: int, thing: str) -> str:
    """Write how many there are, such as ``"1 lane"`` and ``"2 lanes"``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def human_bytes(count: float) -> str:
    """Write a number of bytes with a unit, such as ``"7.5 GB"``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def byte_count(text: str) -> int:
    """Read a number of bytes with its unit: the inverse of `human_bytes`, with binary units such as ``"8GiB"`` too.

    Raises
    ------
    ValueError
        If the text is not such a number.

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


def human_shape(axes: str, shape: tuple[int, ...]) -> str:
    """Write a shape with its axes, such as ``"Z 40 · Y 2048 · X 2048"``."""
    return " · ".join(f"{axis} {length}" for axis, length in zip(axes, shape, strict=True))

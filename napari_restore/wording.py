"""Numbers, shapes and plans in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

__all__ = ["counted", "human_bytes", "human_shape"]


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


def human_shape(axes: str, shape: tuple[int, ...]) -> str:
    """Write a shape with its axes, such as ``"Z 40 · Y 2048 · X 2048"``."""
    return " · ".join(f"{axis} {length}" for axis, length in zip(axes, shape, strict=True))

from __future__ import annotations

import pytest

from napari_restore.networks.denormals import denormals_are_zero

SMALLEST_NORMAL = 2.0**-1022


def halved(number: float) -> float:
    return number / 2


@denormals_are_zero()
def halved_inside() -> float:
    return halved(SMALLEST_NORMAL)


@denormals_are_zero()
def fail_inside() -> None:
    raise KeyError


def test_they_are_zero_inside_alone() -> None:
    assert halved_inside() == 0 < halved(SMALLEST_NORMAL)
    with pytest.raises(KeyError):
        fail_inside()
    assert halved(SMALLEST_NORMAL) > 0

"""Choose the self-supervision by the noise of the source, and decline sources whose noise cannot teach a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_restore.adapting.crops import SourceCrop
from napari_restore.errors import RecipeError
from napari_restore.ways_out import WayOut
from napari_restore.wording import percent

__all__ = [
    "Choice",
    "Method",
    "blocks_of_jpeg",
    "check_method",
    "choose_method",
    "correlation_reach",
    "share_noise",
    "too_clean",
]

Method = Literal["r2r", "noise2void", "noise2noise", "supervised"]

_INDEPENDENT = 0.1
"""Autocorrelation of the noise between neighbours up to which pixels count as independent: less is not told from none
in an image with structure (`napari_restore.intensity.noise`)."""
_REACH = 8
"""Largest distance, in pixels, at which the autocorrelation is measured; noise that reaches so far is that of lines."""
_FLAT = (8, 32)
"""Short and long side of the blocks on which it is measured."""
_FLATTEST = 0.15
"""Share of these blocks that is used: structure is correlated, so only the flattest show the noise."""
_HARDLY_ANY = 0.004
"""Standard deviation of the noise, as a share of the value range, below which there is nothing to learn from."""
_SHARED = 0.3
"""Variance of the difference of two planes, in that of two planes of independent noise, below which they have noise in
common: the estimated variance is off by up to 40 %."""
_BLOCKY = 1.05
"""Steps between pixels at the borders of blocks of 8, relative to the others, from which an image counts as a JPEG."""


@dataclass(frozen=True)
class Choice:
    """A self-supervision, or the supervision by clean images.

    Attributes
    ----------
    method : {"r2r", "noise2void", "noise2noise", "supervised"}
        Recorrupted pairs, blind spot, the next plane as the target, or a clean image as the target.
    reach : (int, int)
        For the blind spot: pixels to both sides along Y and X that are masked with a pixel, because their noise is
        correlated with its noise.
    lines : {"", "Y", "X"}
        Axis along which the noise of whole lines is the same; empty for none. Recorrupted pairs get such noise, and
        the blind spot masks whole lines.
    partners : str
        Axis of the next plane; empty for none.
    why : str
        The reason, in words.
    correlation : (float, float)
        Autocorrelation of the noise between neighbours along Y and X.
    averaged : bool
        For the next plane as the target: whether the input is an average of planes, as in a run.
    """

    method: Method
    reach: tuple[int, int] = (0, 0)
    lines: Literal["", "Y", "X"] = ""
    partners: str = ""
    why: str = ""
    correlation: tuple[float, float] = (0.0, 0.0)
    averaged: bool = False


def check_method(method: str, *, clean: bool = False) -> None:
    """Refuse a method that there is not, or that does not fit clean images, or their lack."""
    if method != "auto" and method not in get_args(Method):
        names = ", ".join(repr(name) for name in get_args(Method))
        raise RecipeError(f"method {method!r} is not known; use {names}, or 'auto'.")
    if method == "supervised" and not clean:
        raise RecipeError(
            "method 'supervised' needs clean images of the same fields",
            WayOut("give them as clean=.", "give them with --clean.", "choose their layer under Clean."),
        )
    if clean and method not in ("auto", "supervised"):
        raise RecipeError(
            f"method {method!r} does not use clean images",
            WayOut(
                "leave clean= out, or use 'auto'.",
                "leave --clean out, or use auto.",
                "choose none under Clean, or auto under Method.",
            ),
        )


def choose_method(
    asked: str, correlation: tuple[float, float], reach: tuple[int, int], agreeing: str, planes: str
) -> Choice:
    """Choose the self-supervision.

    Parameters
    ----------
    asked : str
        A method, or ``"auto"``.
    correlation : (float, float)
        Autocorrelation of the noise between neighbours along Y and X, the largest of all channels.
    reach : (int, int)
        Its reach in pixels, see `correlation_reach`.
    agreeing : str
        Axis of "TZ" along which neighbouring planes agree within the noise; empty for none.
    planes : str
        Axes of "TZ" along which there are several planes.

    Returns
    -------
    Choice
        The method with its masks and the reason.

    Raises
    ------
    RecipeError
        If neighbouring planes are asked for, and there is one plane only.
    """
    check_method(asked)
    if asked == "noise2noise" and not planes:
        raise RecipeError("method 'noise2noise' needs neighbouring planes, and there is one plane; use 'auto'.")
    if asked == "noise2noise" or (asked == "auto" and agreeing == "T"):
        axis = agreeing or planes[0]
        told = f"neighbouring planes along {axis} agree within the noise" if agreeing else "asked for"
        return Choice("noise2noise", partners=axis, why=told, correlation=correlation)
    independent = max(correlation) <= _INDEPENDENT
    masked = tuple(far if near > _INDEPENDENT else 0 for near, far in zip(correlation, reach, strict=True))
    far = [axis for axis, length in zip("YX", masked, strict=True) if length >= _REACH]
    lines: Literal["", "Y", "X"] = "" if len(far) != 1 else "Y" if far == ["Y"] else "X"
    why = "the noise of neighbouring pixels is independent"
    if lines:
        why = f"the noise has offsets of whole lines along {lines} (autocorrelation {max(correlation):.2f})"
    elif not independent:
        why = f"the noise of neighbouring pixels is correlated ({_told(correlation)})"
    if asked == "r2r" or (asked == "auto" and (independent or lines)):
        why = f"asked for, although {why}" if not (independent or lines) else why
        return Choice("r2r", lines=lines, why=why, correlation=correlation)
    hidden = (0, 0) if lines else (min(masked[0], _REACH), min(masked[1], _REACH))
    return Choice("noise2void", hidden, lines, why="asked for" if independent else why, correlation=correlation)


def _told(correlation: tuple[float, float]) -> str:
    return f"{correlation[0]:.2f} along Y, {correlation[1]:.2f} along X"


def correlation_reach(crops: Sequence[SourceCrop]) -> tuple[int, int]:
    """Measure how far the noise is correlated along Y and X, on the flattest blocks of crops.

    Parameters
    ----------
    crops : sequence of SourceCrop
        Crops of at least 32 x 32 pixels.

    Returns
    -------
    tuple of int
        Largest distance at which the autocorrelation is above a tenth, up to 8.
    """
    return _reach([crop.pixels.swapaxes(-2, -1) for crop in crops]), _reach([crop.pixels for crop in crops])


def _reach(planes: Sequence[npt.NDArray[np.float32]]) -> int:
    blocks = np.concatenate([_blocks(plane) for channels in planes for plane in channels])
    blocks = blocks - blocks.mean(axis=(1, 2), keepdims=True)
    power = (blocks**2).mean(axis=(1, 2))
    flattest = np.argsort(power, kind="stable")[: max(4, int(len(blocks) * _FLATTEST))]
    chosen, power = blocks[flattest], np.maximum(power[flattest], 1e-30)
    reach = 0
    for lag in range(1, _REACH + 1):
        products = (chosen[:, :, lag:] * chosen[:, :, :-lag]).mean(axis=(1, 2))
        if float(np.median(products / power)) <= _INDEPENDENT:
            break
        reach = lag
    return reach


def _blocks(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    short, long = _FLAT
    rows, columns = plane.shape[0] // short, plane.shape[1] // long
    part = plane[: rows * short, : columns * long].reshape(rows, short, columns, long)
    return part.swapaxes(1, 2).reshape(-1, short, long).astype(np.float64)


def share_noise(crops: Sequence[SourceCrop]) -> bool:
    """Return whether neighbouring planes have noise in common: one is a copy, or each is a running average."""
    differences = [
        float(np.mean((crop.partner - crop.pixels)[crop.there] ** 2) / (2 * crop.variance[crop.there].mean()))
        for crop in crops
        if crop.partner is not None
    ]
    return bool(differences) and float(np.median(differences)) < _SHARED


def too_clean(share: float) -> str:
    """Describe why an image with this noise, as a share of its value range, teaches nothing; empty if it does."""
    if share >= _HARDLY_ANY:
        return ""
    return f"the source has hardly any noise ({percent(share)} of its value range): it may be denoised already"


def blocks_of_jpeg(crops: Sequence[SourceCrop]) -> bool:
    """Return whether steps between pixels are larger at the borders of blocks of 8 x 8 pixels along both axes."""
    return all(_step_at_borders(crops, axis) > _BLOCKY for axis in (-1, -2))


def _step_at_borders(crops: Sequence[SourceCrop], axis: int) -> float:
    """Return the step at the multiples of 8 from the image's origin, relative to that elsewhere.

    The median counts: the seams of a mosaic are at multiples of 8 too, but at a few of them.
    """
    steps: list[list[float]] = [[] for _ in range(8)]
    for crop in crops:
        along = np.abs(np.diff(crop.pixels, axis=axis)).mean(axis=(0, -2 if axis == -1 else -1))
        for place, step in enumerate(along, start=crop.origin[axis] + 1):
            steps[place % 8].append(float(step))
    medians = [float(np.median(each)) if each else 0.0 for each in steps]
    usual = float(np.median(medians[1:]))
    return medians[0] / usual if usual > 0 else 1.0

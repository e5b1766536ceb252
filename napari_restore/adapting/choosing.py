"""Choose the self-supervision by the noise of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_restore.adapting.crops import SourceCrop
from napari_restore.errors import RecipeError
from napari_restore.ways_out import WayOut

__all__ = [
    "Choice",
    "Method",
    "check_method",
    "choose_method",
    "correlation_reach",
    "doubt_skewed",
    "noise_skewness",
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
_FEWEST = 4, 32
"""Blocks that are used at least: for the autocorrelation, and for the skewness, which scatters more."""
_ONE_VALUE = 0.5
"""Share of a block's pixels with one value from which it is empty: it shows no noise, or that of hardly any photons."""
_SKEWED = 0.5
"""Skewness of the noise, up or down, from which R2R, which takes it for Gaussian, may teach what makes images worse:
that of about 4 photons. Cameras and lines of scanners have up to 0.3. Of an image with 2.1 (W2S), the loss fell by 7 %,
and the image lost 6 dB."""


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
    doubt : str
        Why its loss can fall while images become worse; empty if it tells.
    """

    method: Method
    reach: tuple[int, int] = (0, 0)
    lines: Literal["", "Y", "X"] = ""
    partners: str = ""
    why: str = ""
    correlation: tuple[float, float] = (0.0, 0.0)
    averaged: bool = False
    doubt: str = ""


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
        The method with its masks, the reason, and what is doubtful about it; see also `doubt_skewed`.

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
        doubt = "" if agreeing else f"neighbouring planes along {axis} do not agree within the noise"
        return Choice("noise2noise", partners=axis, why=told, correlation=correlation, doubt=doubt)
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
        doubt = "" if independent or lines else f"{why}, and r2r takes it for independent"
        return Choice("r2r", lines=lines, why="asked for" if doubt else why, correlation=correlation, doubt=doubt)
    hidden = (0, 0) if lines else (min(masked[0], _REACH), min(masked[1], _REACH))
    # Measured on a wide-field frame of FMD: the loss of hidden pixels fell by 22 %, and the image lost 1.1 dB.
    doubt = "" if lines else "the loss of hidden pixels does not tell whether whole images become better"
    doubt = f"{why}, and {doubt}" if doubt and not independent else doubt
    why = "asked for" if independent else why
    return Choice("noise2void", hidden, lines, why=why, correlation=correlation, doubt=doubt)


def doubt_skewed(choice: Choice, crops: Sequence[SourceCrop]) -> Choice:
    """Doubt a choice of R2R if the noise is skewed.

    Parameters
    ----------
    choice : Choice
        Any choice; only that of R2R is changed.
    crops : sequence of SourceCrop
        See `noise_skewness`.
    """
    if choice.method != "r2r" or abs(skewness := noise_skewness(crops, choice.lines)) <= _SKEWED:
        return choice
    skewed = f"the noise is skewed ({skewness:.2g}), as that of few photons is, and r2r takes it for Gaussian"
    return replace(choice, why="asked for", doubt=f"{skewed}; {choice.doubt}" if choice.doubt else skewed)


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
    return _reach([_turned(crop) for crop in crops]), _reach(crops)


def noise_skewness(crops: Sequence[SourceCrop], lines: str = "") -> float:
    """Measure the skewness of the noise, on the flattest blocks of crops.

    A second difference ``2 x[i] - x[i-1] - x[i+1]`` of independent noise has six times its variance and its third
    cumulant, and little of the structure; along lines, their offsets cancel.

    Parameters
    ----------
    crops : sequence of SourceCrop
        Crops of at least 32 x 32 pixels.
    lines : {"", "Y", "X"}
        Axis along which the noise of whole lines is the same; empty for none.

    Returns
    -------
    float
        ``E[n**3] / E[n**2] ** 1.5`` of the noise `n`, of the channel where it is farthest from 0; one over the square
        root of the number of photons, if there is no other noise. 0 if there are no blocks without missing pixels.
    """
    turned = [*(crops if lines != "Y" else ()), *(map(_turned, crops) if lines != "X" else ())]
    channels = len(crops[0].pixels)
    each = [_skewness([_second_difference(crop, channel) for crop in turned]) for channel in range(channels)]
    return max(each, key=abs)


def _turned(crop: SourceCrop) -> SourceCrop:
    return replace(crop, pixels=crop.pixels.swapaxes(-2, -1), there=crop.there.swapaxes(-2, -1))


def _second_difference(crop: SourceCrop, channel: int) -> SourceCrop:
    pixels = ndimage.convolve1d(crop.pixels[channel], [-1.0, 2.0, -1.0], axis=-1, mode="mirror")
    there = ndimage.minimum_filter1d(crop.there[channel], 3, axis=-1, mode="mirror")
    return replace(crop, pixels=pixels[None], there=there[None])


def _skewness(differences: Sequence[SourceCrop]) -> float:
    blocks, power = _flattest(differences, _FEWEST[1])
    if not len(blocks):
        return 0.0
    third = (blocks**3).mean(axis=(1, 2))
    return float(6**0.5 * np.median(third) / np.median(power) ** 1.5)


def _reach(crops: Sequence[SourceCrop]) -> int:
    blocks, power = _flattest(crops, _FEWEST[0])
    reach = 0
    for lag in range(1, (_REACH if len(blocks) else 0) + 1):
        products = (blocks[:, :, lag:] * blocks[:, :, :-lag]).mean(axis=(1, 2))
        if float(np.median(products / power)) <= _INDEPENDENT:
            break
        reach = lag
    return reach


def _flattest(crops: Sequence[SourceCrop], fewest: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the blocks without missing pixels that vary least, around their means, and their variances.

    Empty ones, in which most pixels have one value, count only if there are hardly any others.
    """
    there = np.concatenate([_blocks(channel) for crop in crops for channel in crop.there]).all(axis=(1, 2))
    blocks = np.concatenate([_blocks(channel) for crop in crops for channel in crop.pixels])[there].astype(np.float64)
    if not len(blocks):
        return blocks, np.zeros(0)
    noisy = (blocks == np.median(blocks, axis=(1, 2), keepdims=True)).mean(axis=(1, 2)) < _ONE_VALUE
    if np.count_nonzero(noisy) >= fewest:
        blocks = blocks[noisy]
    blocks -= blocks.mean(axis=(1, 2), keepdims=True)
    power = (blocks**2).mean(axis=(1, 2))
    flattest = np.argsort(power, kind="stable")[: max(fewest, int(len(blocks) * _FLATTEST))]
    return blocks[flattest], np.maximum(power[flattest], 1e-30)


def _blocks(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    short, long = _FLAT
    rows, columns = plane.shape[0] // short, plane.shape[1] // long
    part = plane[: rows * short, : columns * long].reshape(rows, short, columns, long)
    return part.swapaxes(1, 2).reshape(-1, short, long)

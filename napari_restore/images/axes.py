"""Check axis letters and bring them into canonical order.

An image has one letter per array dimension: ``T`` time, ``C`` channel, ``Z`` depth, ``Y`` rows, ``X`` columns and ``S``
samples of a colour pixel (RGB or RGBA). A *plane* is one Y×X image.
"""

from __future__ import annotations

__all__ = ["CANONICAL", "canonical_axes", "check_axes", "letter_of", "transposition"]

from napari_restore.errors import AxesError
from napari_restore.ways_out import name_axes

CANONICAL = "TCZYXS"
"""All axis letters, in the order used inside the package."""

_BY_NAME = {letter.lower(): letter for letter in CANONICAL} | {
    "time": "T", "channel": "C", "channels": "C", "ch": "C", "depth": "Z", "rgb": "S",
}  # fmt: skip


def letter_of(name: object) -> str | None:
    """Return the letter of an axis from its name in a file, an array or a layer.

    Parameters
    ----------
    name : object
        The name, in either case.

    Returns
    -------
    str or None
        A letter of "TCZYXS"; None for an unknown name.

    Examples
    --------
    >>> letter_of("Time"), letter_of("x"), letter_of("dim_0")
    ('T', 'X', None)
    """
    return _BY_NAME.get(str(name).lower())


def check_axes(axes: str, shape: tuple[int, ...]) -> str:
    """Check axis letters against the shape of an array.

    Parameters
    ----------
    axes : str
        One letter of "TCZYXS" per dimension, in any order and in either case.
    shape : tuple of int
        Shape of the array the letters describe, in the same order.

    Returns
    -------
    str
        The letters in upper case, in the order given.

    Raises
    ------
    AxesError
        If a letter is unknown or repeated, Y or X is missing, or the number of letters is not the number of
        dimensions.

    Examples
    --------
    >>> check_axes("zyx", (10, 64, 64))
    'ZYX'
    """
    if not isinstance(axes, str):
        raise AxesError(f"axes {axes!r} is not a string; pass one letter of {CANONICAL} per dimension, such as 'ZYX'.")
    letters = axes.upper()
    unknown = sorted(set(letters) - set(CANONICAL))
    if unknown:
        raise AxesError(
            f"axes {axes!r} has the unknown letter {unknown[0]!r}; the letters are T (time), C (channel), Z (depth), "
            f"Y (rows), X (columns) and S (colour samples), one per dimension of {shape}",
            name_axes(len(shape)),
        )
    repeated = sorted({letter for letter in letters if letters.count(letter) > 1})
    if repeated:
        raise AxesError(f"axes {axes!r} names {repeated[0]!r} twice; give each dimension of {shape} its own letter.")
    if len(letters) != len(shape):
        raise AxesError(
            f"axes {axes!r} has {len(letters)} letters, but the image has {len(shape)} dimensions {shape}; "
            "pass one letter per dimension."
        )
    if "Y" not in letters or "X" not in letters:
        raise AxesError(
            f"axes {axes!r} lacks Y or X; both are needed, because planes of rows and columns are restored."
        )
    return letters


def canonical_axes(axes: str) -> str:
    """Return the letters of `axes` in canonical order.

    Parameters
    ----------
    axes : str
        Letters of "TCZYXS" in upper case, in any order.

    Returns
    -------
    str
        The same letters in the order of "TCZYXS".

    Examples
    --------
    >>> canonical_axes("YXC")
    'CYX'
    """
    return "".join(letter for letter in CANONICAL if letter in axes)


def transposition(from_axes: str, to_axes: str) -> tuple[int, ...]:
    """Return the argument of `numpy.transpose` that changes one order of axes into another.

    Parameters
    ----------
    from_axes, to_axes : str
        The same letters in two orders.

    Returns
    -------
    tuple of int
        For each axis of `to_axes` its position in `from_axes`.

    Raises
    ------
    AxesError
        If the letters are not the same.

    Examples
    --------
    >>> transposition("YXC", "CYX")
    (2, 0, 1)
    """
    if sorted(from_axes) != sorted(to_axes) or len(set(from_axes)) != len(from_axes):
        raise AxesError(
            f"axes {from_axes!r} cannot be brought into the order {to_axes!r}; the letters must be the same."
        )
    return tuple(from_axes.index(letter) for letter in to_axes)

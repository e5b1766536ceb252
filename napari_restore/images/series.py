"""One image of several in a file, chosen by its number or its name."""

from __future__ import annotations

__all__ = ["choose_series", "series_title"]

from collections.abc import Sequence

from napari_restore.errors import SourceError

_LISTED = 20


def choose_series(series: int | str, names: Sequence[str], place: str) -> int:
    """Return the number of the image that is meant.

    Parameters
    ----------
    series : int or str
        A number, counted from 0, or a name; digits are a number where no image has them for its name.
    names : sequence of str
        The name of each image.
    place : str
        What to call the file in messages.

    Returns
    -------
    int
        The number of the image.

    Raises
    ------
    SourceError
        If there is no such image, or two of that name; the message lists what there is.

    Examples
    --------
    >>> choose_series("right", ["left", "right"], "cells.czi"), choose_series(0, ["left", "right"], "cells.czi")
    (1, 0)
    """
    if isinstance(series, str):
        found = [number for number, name in enumerate(names) if name == series]
        if len(found) > 1:
            raise SourceError(
                f"{len(found)} series of {place} are called {series!r}: {', '.join(map(str, found[:_LISTED]))}; "
                "choose one by its number."
            )
        if found:
            return found[0]
        if not series.strip().isdecimal():
            raise SourceError(f"series {series!r} is not in {place}: it has {_listed(names)}.")
        series = int(series)
    if not 0 <= series < len(names):
        raise SourceError(f"series {series} is not in {place}: it has {_listed(names)}.")
    return series


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"one, number 0 ({names[0]!r})" if names[0] else "one, number 0"
    listed = ", ".join(f"{number} {name!r}" if name else str(number) for number, name in enumerate(names[:_LISTED]))
    return f"{len(names)}: {listed}" + (", ..." if len(names) > _LISTED else "")


def series_title(file_name: str, names: Sequence[str], number: int) -> str:
    """Return what to call an image: the name of its file, and its own where the file has several.

    Examples
    --------
    >>> series_title("cells.czi", ["left", "right"], 1)
    'cells.czi [right]'
    """
    return file_name if len(names) == 1 else f"{file_name} [{names[number] or number}]"

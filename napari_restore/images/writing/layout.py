"""Define the stored layout of an image: write units, order of axes, shapes of levels, and their checks."""

from __future__ import annotations

__all__ = ["WriteUnit", "check_layout", "level_shape", "stored_axes", "stored_order", "to_stored"]

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_restore.errors import OutputError
from napari_restore.images.axes import canonical_axes


@dataclass(frozen=True, order=True)
class WriteUnit:
    """One stored object of an image: a shard, or a chunk if there are no shards. It is written whole, and once.

    The engine computes *blocks*: a block has the pixels of one write unit of level 0. Its index is in canonical order,
    that of the write unit in stored order (`stored_order`). Write units of coarser levels are computed from those of
    the level before.

    Attributes
    ----------
    level : int
        Resolution level; 0 is the image itself.
    index : tuple of int
        Index along each axis of the stored array, in stored order. Y and X are the last two axes.
    """

    level: int
    index: tuple[int, ...]

    @property
    def above(self) -> WriteUnit:
        """The write unit of the next coarser level that this one is a quarter of (less at the end of the array)."""
        return WriteUnit(self.level + 1, (*self.index[:-2], self.index[-2] // 2, self.index[-1] // 2))

    def below(self, counts: tuple[int, ...]) -> list[WriteUnit]:
        """Return the write units of the level before that this one is computed from, at most four.

        Parameters
        ----------
        counts : tuple of int
            Number of write units of that level along each axis.
        """
        rows, columns = (
            range(2 * place, min(2 * place + 2, count))
            for place, count in zip(self.index[-2:], counts[-2:], strict=True)
        )
        return [WriteUnit(self.level - 1, (*self.index[:-2], row, column)) for row in rows for column in columns]

    @property
    def name(self) -> str:
        """Its index as text, such as ``"0/3/1"``."""
        return "/".join(map(str, self.index))

    def __str__(self) -> str:
        return f"level {self.level}, unit {self.name}"


def stored_axes(axes: str) -> str:
    """Return axis letters in stored order.

    Parameters
    ----------
    axes : str
        Letters in canonical order, that of "TCZYXS".

    Returns
    -------
    str
        Letters of the stored array, with S renamed to C and in the position of C.

    Raises
    ------
    OutputError
        If there are both C and S: OME-Zarr has only one channel axis.

    Examples
    --------
    >>> stored_axes("TZYXS")
    'TCZYX'
    """
    if "C" in axes and "S" in axes:
        raise OutputError(
            f"axes {axes!r} has channels (C) and colour samples (S), but OME-Zarr stores one channel axis; "
            "restore the channels one at a time, or convert the samples to channels first."
        )
    return canonical_axes(axes.upper().replace("S", "C"))


def to_stored(block: NDArray[Any], axes: str) -> NDArray[Any]:
    """Transpose a block from canonical to stored order, as a view.

    Parameters
    ----------
    block : numpy.ndarray
        Pixels in the order of `axes`.
    axes : str
        Letters in canonical order, that of "TCZYXS".

    Returns
    -------
    numpy.ndarray
        The same pixels in the order of ``stored_axes(axes)``.
    """
    return block.transpose(stored_order(axes))


def stored_order(axes: str) -> tuple[int, ...]:
    """Return the position in `axes` of each stored axis.

    Parameters
    ----------
    axes : str
        Letters in canonical order, that of "TCZYXS".

    Returns
    -------
    tuple of int
        Positions, in the order of ``stored_axes(axes)``.
    """
    letters = axes.upper().replace("S", "C")
    return tuple(letters.index(letter) for letter in stored_axes(axes))


def level_shape(letters: str, shape: tuple[int, ...], level: int) -> tuple[int, ...]:
    """Return the shape of a level: Y and X halved `level` times, rounded up."""
    step = 2**level
    return tuple(
        -(-length // step) if letter in "YX" else length for letter, length in zip(letters, shape, strict=True)
    )


def check_layout(
    letters: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None,
    levels: int,
    version: str,
    channels: int,
) -> None:
    """Raise OutputError if an image cannot have this layout; all arguments are in stored order."""
    if version not in ("0.4", "0.5"):
        raise OutputError(f"OME-Zarr {version!r} is not written here; use '0.5' or '0.4'.")
    if version == "0.4" and shards is not None:
        raise OutputError(f"shards {shards} need Zarr 3, and OME-Zarr 0.4 is Zarr 2; use version '0.5' or no shards.")
    if levels < 1:
        raise OutputError(f"levels {levels} is less than 1; the image itself is the first level.")
    if min(chunks) < 1 or min(shape) < 1:
        raise OutputError(f"chunks {chunks} of the shape {shape} have a length of less than 1.")
    if shards is not None and any(s % c or s < 1 for s, c in zip(shards, chunks, strict=True)):
        raise OutputError(f"shards {shards} are not multiples of the chunks {chunks} along every axis.")
    stored = shape[letters.index("C")] if "C" in letters else 1
    if channels and channels != stored:
        raise OutputError(f"{channels} channels are described, but {stored} are stored; describe each of them or none.")

"""Errors for the user. Each message names the value and the rule, with advice in the terms of each interface.

All derive from `RestoreError`, so a script can catch them together. The command line prints one line and exits with
code 2.
"""

from __future__ import annotations

__all__ = [
    "AxesError",
    "BlocksFailed",
    "Cancelled",
    "ChunkError",
    "ClusterError",
    "DeviceLost",
    "DiskFull",
    "ModelError",
    "OutOfMemory",
    "OutputError",
    "OutputInUse",
    "OutputTaken",
    "RecipeError",
    "RestoreError",
    "SourceChanged",
    "SourceError",
    "SourceLost",
    "SourceTooSlow",
    "UnexpectedError",
    "fault_of",
    "in_window",
]

from typing import Self

from napari_restore.ways_out import Face, WayOut


class RestoreError(Exception):
    """Base class of the errors of napari-restore. As a string, it has the advice for Python.

    Parameters
    ----------
    fault : str
        What is wrong; with the advice, if it is the same in all interfaces.
    way_out : WayOut, optional
        Advice for each interface.
    """

    def __init__(self, fault: str = "", way_out: WayOut | None = None) -> None:
        super().__init__(fault if way_out is None else f"{fault}; {way_out.call}")
        self.fault, self.way_out = fault, way_out

    @classmethod
    def around(cls, words: str, error: BaseException) -> Self:
        """Make an error of this kind out of another error, with the advice of that one for each interface.

        Parameters
        ----------
        words : str
            What is wrong; the fault of the other error follows after a colon.
        error : BaseException
            The other error.

        Returns
        -------
        RestoreError
            The new error.
        """
        return cls(f"{words}: {fault_of(error)}", getattr(error, "way_out", None))

    def told(self, face: Face) -> str:
        """Return the message with the advice for an interface.

        Parameters
        ----------
        face : {"call", "command", "window"}
            The interface.

        Returns
        -------
        str
            The message.
        """
        return str(self) if self.way_out is None else f"{self.fault}; {getattr(self.way_out, face)}"


class UnexpectedError(RestoreError, RuntimeError):
    """A fault in this package; the message says where to report it. Stored blocks stay."""


class SourceError(RestoreError, ValueError):
    """The source cannot be opened, or is not an image that this package can restore."""


class AxesError(SourceError):
    """The axes of the source are unknown or ambiguous, or do not fit its shape."""


class ChunkError(SourceError):
    """A stored chunk of the source cannot be read; the message names its index."""


class SourceLost(SourceError):
    """The whole input is gone in the middle of a run: deleted, moved, or on a disk that is not there any more."""


class SourceTooSlow(SourceLost):
    """A server sends the input so slowly that the run would not end, or has stopped sending it."""


class SourceChanged(SourceError):
    """The input was replaced or written to in the middle of a run; the message names the blocks that are in doubt."""


class RecipeError(RestoreError, ValueError):
    """A setting has a value that is not allowed."""


class ModelError(RestoreError, ValueError):
    """A model is unknown, its checkpoint cannot be loaded, or it does not fit the source."""


class OutputError(RestoreError, ValueError):
    """The output cannot be written, or holds the result of another recipe."""


class ClusterError(RestoreError, RuntimeError):
    """A cluster cannot do a run, or was lost during one; the message says why, and how to resume the run."""


class BlocksFailed(RestoreError, RuntimeError):
    """Some blocks could not be computed; the message names them. All others are stored."""


class OutputInUse(OutputError):
    """Another run is writing to the output; the message says whose, where and since when."""


class OutputTaken(OutputError):
    """Another run has taken over the output while this one was suspended; this one writes nothing more."""


class DiskFull(OutputError):
    """There is no room for the rest of the output. Stored blocks stay."""


class DeviceLost(RestoreError, RuntimeError):
    """A device stopped working during a run."""


class Cancelled(RestoreError):
    """The caller has stopped the work."""


class OutOfMemory(RestoreError, MemoryError):
    """A single tile does not fit in the memory of the device."""


def fault_of(error: BaseException) -> str:
    """Return what is wrong, without the advice for an interface: for records, which no interface words.

    Parameters
    ----------
    error : BaseException
        Any error.
    """
    return error.fault if isinstance(error, RestoreError) else str(error)


def in_window(error: BaseException) -> str:
    """Return the message of any error, with the advice for the window of napari.

    Parameters
    ----------
    error : BaseException
        The error.
    """
    return error.told("window") if isinstance(error, RestoreError) else str(error)

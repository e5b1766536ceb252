"""Errors for the user. Each message names the value, the rule and the way out.

All derive from `RestoreError`, so a script can catch them together. The command line prints one line and exits with
code 2.
"""

from __future__ import annotations

__all__ = [
    "AxesError",
    "BlocksFailed",
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
    "UnexpectedError",
]


class RestoreError(Exception):
    """Base class of the errors of napari-restore."""


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


class OutOfMemory(RestoreError, MemoryError):
    """A single tile does not fit in the memory of the device."""

"""The errors a user can meet, each naming the value, the rule and the way out.

Every error raised on purpose derives from `RestoreError`, so a script can catch all of them at once and the command
line can print one line and leave with exit code 2.
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
    """Base of all errors that napari-restore raises on purpose."""


class UnexpectedError(RestoreError, RuntimeError):
    """A fault in this package itself; the message says where to report it. What is stored stays."""


class SourceError(RestoreError, ValueError):
    """The input cannot be opened or is not an image this package can restore."""


class AxesError(SourceError):
    """The axes of the input are unknown, ambiguous or do not fit its shape."""


class ChunkError(SourceError):
    """A stored chunk of the input cannot be read; the message names its index."""


class SourceLost(SourceError):
    """The whole input is gone in the middle of a run: deleted, moved, or on a disk that is not there any more."""


class SourceChanged(SourceError):
    """The input was replaced or written to in the middle of a run; the message names the blocks that are in doubt."""


class RecipeError(RestoreError, ValueError):
    """A setting of the run is out of its allowed values."""


class ModelError(RestoreError, ValueError):
    """A model is unknown, or its checkpoint cannot be loaded, or it does not fit the input."""


class OutputError(RestoreError, ValueError):
    """The output cannot be written, or holds the result of another recipe."""


class ClusterError(RestoreError, RuntimeError):
    """A cluster cannot do a run, or was lost in the middle of one; the message says why, and how to go on."""


class BlocksFailed(RestoreError, RuntimeError):
    """Some blocks could not be made, and all others are stored; the message names them."""


class OutputInUse(OutputError):
    """Another run is writing the output; the message says whose, where and since when."""


class OutputTaken(OutputError):
    """Another run has taken over the output while this one stood still; this one writes nothing more."""


class DiskFull(OutputError):
    """There is no room for the rest of the output; what is stored stays."""


class DeviceLost(RestoreError, RuntimeError):
    """A device stopped working in the middle of a run."""


class OutOfMemory(RestoreError, MemoryError):
    """One single tile does not fit the memory of the device."""

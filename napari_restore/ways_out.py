"""What to do about an error, in the words of each face: a call of the api, a command, the plugin's window.

An error says what is wrong; the face that shows it adds the way out that can be followed there.
"""

from __future__ import annotations

__all__ = ["NAME_AXES", "REPAIR", "REPLACE", "Face", "WayOut"]

from dataclasses import dataclass
from typing import Literal

Face = Literal["call", "command", "window"]
"""Where an error is shown: Python, the command line, or napari's window."""


@dataclass(frozen=True)
class WayOut:
    """What to do about an error; each text ends with a full stop.

    Attributes
    ----------
    call : str
        For callers of `napari_restore.api`: names of arguments.
    command : str
        For users of the command line: options.
    window : str
        For users of the plugin: titles of controls.
    """

    call: str
    command: str
    window: str

    def after(self, words: str) -> WayOut:
        """Return a way out that begins with words that are the same in all faces.

        Parameters
        ----------
        words : str
            The words, with a space at the end.
        """
        return WayOut(*(f"{words}{way}" for way in (self.call, self.command, self.window)))


NAME_AXES = WayOut(
    "pass axes= with one letter of TCZYXS per dimension, such as 'ZYX'.",
    "give --axes one letter of TCZYXS per dimension, such as ZYX.",
    "type one letter of TCZYXS per dimension in Axes, such as ZYX.",
)
REPLACE = WayOut("replace it with overwrite=True.", "replace it with --overwrite.", "tick Replace to replace it.")
REPAIR = WayOut(
    "`napari-restore verify --repair` repairs the results of this package.",
    "`napari-restore verify --repair` repairs the results of this package.",
    "if this package wrote it, repair it on the command line with `napari-restore verify --repair`.",
)

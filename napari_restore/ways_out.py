"""Advice for errors, in the terms of each interface: Python, the command line and the window of napari.

An error says what is wrong. The interface that shows it adds the advice that its users can follow.
"""

from __future__ import annotations

__all__ = ["FILL", "LEAVE_OUT", "REACH", "REPAIR", "REPLACE", "Face", "WayOut", "name_axes", "same"]

from dataclasses import dataclass
from typing import Literal

Face = Literal["call", "command", "window"]
"""Interface that shows an error: Python, the command line, or the window of napari."""


@dataclass(frozen=True)
class WayOut:
    """Words for each interface, such as the advice for an error, which ends with a full stop.

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
        """Return the advice with the same words before each text.

        Parameters
        ----------
        words : str
            Words before each text.

        Returns
        -------
        WayOut
            The new advice.
        """
        return WayOut(*(f"{words}{way}" for way in (self.call, self.command, self.window)))


def same(words: str) -> WayOut:
    """Return words that are the same for all interfaces.

    Parameters
    ----------
    words : str
        The words.

    Returns
    -------
    WayOut
        The words for each interface.
    """
    return WayOut(words, words, words)


FILL = WayOut(
    "a run with on_error='fill' continues without it.",
    "a run with --on-error fill continues without it.",
    "with fill in On error, a run continues without it.",
)
LEAVE_OUT = WayOut(
    "or leave it out by on_error='fill'.",
    "or leave it out by --on-error fill.",
    "or choose fill in On error to leave it out.",
)
REACH = same("check its address, the network and your rights of access.")
REPLACE = WayOut("replace it with overwrite=True.", "replace it with --overwrite.", "tick Replace to replace it.")
REPAIR = WayOut(
    "`napari-restore verify --repair` repairs the results of this package.",
    "`napari-restore verify --repair` repairs the results of this package.",
    "if this package wrote it, repair it on the command line with `napari-restore verify --repair`.",
)


def name_axes(dimensions: int) -> WayOut:
    """Return the advice to name the axes of an array.

    Parameters
    ----------
    dimensions : int
        Number of its dimensions.

    Returns
    -------
    WayOut
        Advice with an example for as many dimensions; to take a part of the array where no image has as many.
    """
    if not 2 <= dimensions <= 6:
        return same("images have two to six dimensions; store such a part of it, and open that.")
    letters = "TCZYXS" if dimensions == 6 else "TCZYX"[-dimensions:]
    return WayOut(
        f"pass axes= with one letter of TCZYXS per dimension, such as {letters!r}.",
        f"give --axes one letter of TCZYXS per dimension, such as {letters}.",
        f"type one letter of TCZYXS per dimension in Axes, such as {letters}.",
    )

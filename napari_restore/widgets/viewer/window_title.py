"""Show the progress of a run in the title of the window, which the task bar shows too."""

from __future__ import annotations

__all__ = ["TitleProgress"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.viewer import Viewer


class TitleProgress:
    """A percentage before the title of the viewer: ``"42 % · napari"``.

    Several dock widgets put one percentage each before the title. A title that is changed meanwhile is kept.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._shown = ""

    def show(self, done: int, total: int) -> None:
        """Show that so much of `total` is done."""
        self._replace(f"{100 * done // max(total, 1)} % · ")

    def end(self) -> None:
        """Remove the percentage."""
        self._replace("")

    def _replace(self, text: str) -> None:
        if text == self._shown:
            return
        title = str(self._viewer.title)
        known = bool(self._shown) and self._shown in title
        self._viewer.title = title.replace(self._shown, text, 1) if known else text + title
        self._shown = text

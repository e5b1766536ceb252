"""A run in napari's activity dock, with a cancel button that cancels."""

from __future__ import annotations

__all__ = ["RunActivity"]

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.utils import cancelable_progress

if TYPE_CHECKING:
    from napari_restore.engine.store.progress import Progress


class RunActivity(cancelable_progress):
    """The bar of a run; for the main thread.

    Parameters
    ----------
    name
        What is restored.
    cancel
        Called when its button is clicked.
    """

    def __init__(self, name: str, cancel: Callable[[], None]) -> None:
        self._shown = 0
        super().__init__(total=0, desc=f"Restoring {name}", cancel_callback=cancel)

    def cancel(self) -> None:
        """Cancel at once: napari's own waits until the bar is iterated over, which it is not."""
        super().cancel()
        self.cancel_callback()

    def show(self, event: Progress) -> None:
        """Show how far the run is. napari has the window live meanwhile, so events may arrive within this call."""
        tiles = event.stage == "restoring" and event.tiles_total
        done, total = (event.tiles_done, event.tiles_total) if tiles else (event.done, event.total)
        if total != self._shown:
            self.total = self._shown = total
        self.update(done - self.n)

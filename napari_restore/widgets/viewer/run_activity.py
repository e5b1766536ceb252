"""Show a run in napari's activity dock."""

from __future__ import annotations

__all__ = ["RunActivity"]

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.utils import cancelable_progress

from napari_restore.widgets.threads.turns import Steps, Turns

if TYPE_CHECKING:
    from napari_restore.engine.store.progress import Progress


class RunActivity:
    """The progress bar of one dock widget's run in napari's activity dock. Use it on the main thread.

    Parameters
    ----------
    turns : Turns
        The queue of the dock widget, whose own bar is painted first.
    cancel : callable
        Called when the bar's cancel button is clicked.

    Attributes
    ----------
    bar : cancelable_progress or None
        The bar; None if nothing runs.
    """

    def __init__(self, turns: Turns, cancel: Callable[[], None]) -> None:
        self._turns, self._cancel = turns, cancel
        self._name: str | None = None
        self.bar: _Bar | None = None

    def begin(self, name: str) -> None:
        """Show that the layer of this name is being restored."""
        self._name = name
        self._turns.take(self._show_bar(name))

    def _show_bar(self, name: str) -> Steps:
        def show() -> None:
            bar = _Bar(f"Restoring {name}", self._cancel)  # handles events, among them perhaps the end of the run
            if self._name == name:
                self.bar = bar
            else:
                bar.close()

        yield
        if self._name == name:
            yield from self._turns.unpainted(show)

    def show(self, event: Progress) -> None:
        """Show the progress of the run. napari handles events meanwhile, so they may arrive within this call."""
        if self.bar is not None:
            self.bar.show(event)

    def end(self) -> None:
        """Remove the bar."""
        self._name = None
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class _Bar(cancelable_progress):
    def __init__(self, title: str, cancel: Callable[[], None]) -> None:
        self._shown = 0
        super().__init__(total=0, desc=title, cancel_callback=cancel)

    def cancel(self) -> None:
        """Cancel at once: napari cancels only while the bar is iterated over, which it is not."""
        super().cancel()
        self.cancel_callback()

    def show(self, event: Progress) -> None:
        done, total = event.steps
        if total != self._shown:
            self.total = self._shown = total
        self.update(done - self.n)

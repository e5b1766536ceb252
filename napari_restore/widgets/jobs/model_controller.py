"""What the model box asks for: reading a checkpoint of the user's own, and downloading weights. Knows no toolkit."""

from __future__ import annotations

__all__ = ["ModelController", "ModelView"]

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

from napari_restore import api
from napari_restore.widgets.jobs.controller import Works
from napari_restore.widgets.jobs.models import Fetched, fetch_weights

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard


class ModelView(Protocol):
    """What shows a model, and is asked which one is chosen."""

    def model(self) -> str | None: ...

    def is_file(self) -> bool:
        """Whether a checkpoint is chosen that has to be read to know what it is."""

    def show_card(self, card: ModelCard, /) -> None: ...

    def show_no_card(self, text: str, /) -> None: ...

    def show_fetched(self, event: Fetched | None, /) -> None:
        """Show how far a download is; None when it has ended."""


class ModelController:
    """Reads and downloads.

    Parameters
    ----------
    view
        What asks, and is told.
    works
        Does what takes long.
    tell
        Shows a line, as a `warning` or not.
    fetched
        Called when a download has ended.
    """

    def __init__(self, view: ModelView, works: Works, tell: Callable[..., None], fetched: Callable[[], None]) -> None:
        self._view, self._works, self._tell, self._fetched = view, works, tell, fetched

    def read_card(self) -> None:
        """Find out what a checkpoint of the user's own is."""
        self._works.drop("card")
        model = self._view.model()
        if model is None or not self._view.is_file():
            return

        def start(stop: threading.Event) -> Generator[Any, None, None]:
            yield api.model_card(model)

        def ended(error: BaseException | None) -> None:
            if error is not None:
                self._view.show_no_card(str(error))

        self._works.start("card", start, self._view.show_card, ended)

    def fetch(self) -> None:
        """Download the weights of the chosen model."""
        model = self._view.model()
        if model is None:
            return

        def ended(error: BaseException | None) -> None:
            self._view.show_fetched(None)
            if error is not None:
                self._tell(str(error), warning=True)
            self._fetched()

        self._view.show_fetched(Fetched(0, None))
        self._works.start("fetch", lambda stop: fetch_weights(model, stop), self._view.show_fetched, ended)

    def cancel_fetch(self) -> None:
        """Stop the download; the view is told when it has ended."""
        self._works.stop("fetch")

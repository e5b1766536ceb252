"""Read the user's checkpoints and download weights for the model box, without Qt."""

from __future__ import annotations

__all__ = ["ModelController", "ModelView"]

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

from napari_restore import api
from napari_restore.errors import in_window
from napari_restore.widgets.jobs.controller import Works
from napari_restore.widgets.jobs.models.cards import DownloadProgress, fetch_weights
from napari_restore.widgets.jobs.models.samples import Sample, make_sample

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard


class ModelView(Protocol):
    """The interface of the model box that the controller uses."""

    def model(self) -> str | None: ...

    def is_file(self) -> bool:
        """Return whether the chosen model is a file, whose card has to be read."""

    def show_card(self, card: ModelCard, /) -> None: ...

    def refuse(self, reason: str, /) -> None:
        """Show why a file is not taken, and choose the model before."""

    def show_fetched(self, event: DownloadProgress | None, /) -> None:
        """Show the progress of a download; None: it has ended."""

    def shown_card(self) -> ModelCard | None:
        """Return the card of the chosen model, if it is known."""

    def show_sample(self, sample: Sample | None, error: str = "", /) -> None:
        """Show the sample of the chosen model; None: it is being made, or there is an error."""


class ModelController:
    """The controller of a model box.

    Parameters
    ----------
    view : ModelView
        The model box.
    works : Works
        Runs long work on threads.
    tell : callable
        Shows a line of text; takes a keyword `warning`.
    fetched : callable
        Called when a download has ended.
    """

    def __init__(self, view: ModelView, works: Works, tell: Callable[..., None], fetched: Callable[[], None]) -> None:
        self._view, self._works, self._tell, self._fetched = view, works, tell, fetched

    def read_card(self) -> None:
        """Read the card of a checkpoint, if the chosen model is a file."""
        self._works.drop("card")
        model = self._view.model()
        if model is None or not self._view.is_file():
            return

        def start(stop: threading.Event) -> Generator[Any, None, None]:
            yield api.model_card(model)

        def ended(error: BaseException | None) -> None:
            if error is not None:
                self._view.refuse(in_window(error))

        self._works.start("card", start, self._view.show_card, ended)

    def fetch(self) -> None:
        """Download the weights of the chosen model."""
        model = self._view.model()
        if model is None:
            return

        def ended(error: BaseException | None) -> None:
            self._view.show_fetched(None)
            if error is not None:
                self._tell(in_window(error), warning=True)
            self._fetched()

        self._view.show_fetched(DownloadProgress(0, None))
        self._works.start("fetch", lambda stop: fetch_weights(model, stop), self._view.show_fetched, ended)

    def make_sample(self) -> None:
        """Restore a sample with the chosen model."""
        model, card = self._view.model(), self._view.shown_card()
        if model is None or card is None:
            return
        self._view.show_sample(None)

        def start(stop: threading.Event) -> Generator[Sample, None, None]:
            yield make_sample(model, card)

        def ended(error: BaseException | None) -> None:
            if error is not None:
                self._view.show_sample(None, in_window(error))

        self._works.start("sample", start, self._view.show_sample, ended)

    def cancel_fetch(self) -> None:
        """Stop the download. The view is told when it has ended."""
        self._works.stop("fetch")

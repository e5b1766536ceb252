"""What the model box asks for: reading a checkpoint of the user's own, and downloading weights."""

from __future__ import annotations

__all__ = ["ModelTools"]

import threading
from collections.abc import Callable, Generator
from typing import Any

from napari_restore import api
from napari_restore.widgets.jobs.models import Fetched, fetch_weights
from napari_restore.widgets.panels.model_box import ModelBox


class ModelTools:
    """Does what takes long on worker threads.

    Parameters
    ----------
    box
        What asks, and is told.
    start
        ``start(name, generator, event, ended)`` starts work; one of a name at a time.
    stop
        ``stop(name)`` asks work of that name to end, and forgets it.
    tell
        Shows a line, as a `warning` or not.
    fetched
        Called when a download has ended.
    """

    def __init__(
        self,
        box: ModelBox,
        start: Callable[[str, Any, Any, Any], None],
        stop: Callable[[str], bool],
        tell: Callable[..., None],
        fetched: Callable[[], None],
    ) -> None:
        self._box, self._start, self._stop, self._tell, self._fetched = box, start, stop, tell, fetched
        self._stopping = threading.Event()
        box.changed.connect(self.read_card)
        box.fetch_wanted.connect(self.fetch)
        box.fetch_cancelled.connect(self._cancel)

    def read_card(self) -> None:
        """Find out what a checkpoint of the user's own is."""
        self._stop("card")
        model = self._box.model()
        if model is None or not self._box.is_file():
            return

        def start(stop: threading.Event) -> Generator[Any, None, None]:
            yield api.model_card(model)

        def ended(error: BaseException | None) -> None:
            if error is not None:
                self._box.show_no_card(str(error))

        self._start("card", start, self._box.show_card, ended)

    def fetch(self) -> None:
        """Download the weights of the chosen model."""
        model = self._box.model()
        if model is None:
            return

        def start(stop: threading.Event) -> Generator[Fetched, None, None]:
            self._stopping = stop
            return fetch_weights(model, stop)

        def ended(error: BaseException | None) -> None:
            self._box.show_fetched(None)
            if error is not None:
                self._tell(str(error), warning=True)
            self._fetched()

        self._box.show_fetched(Fetched(0, None))
        self._start("fetch", start, self._box.show_fetched, ended)

    def _cancel(self) -> None:
        # The work is current until it has ended: then the box is told.
        self._stopping.set()

"""The list of models: those for the layer first, all others in groups, and the user's checkpoints."""

from __future__ import annotations

__all__ = ["DETAIL", "ModelList"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from superqt.utils import signals_blocked

from napari_restore.widgets.jobs.job import Task
from napari_restore.widgets.jobs.models.cards import describe, detail, groups, weights_summary
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.models.model_search import DETAIL, ModelSearch

if TYPE_CHECKING:
    from napari_restore.engine.planning.choices.models import Recommendation
    from napari_restore.models.card import ModelCard

_FILE = "Your file…"
_BEST = "Best for this layer"
_MOST_BEST = 3
"""Largest number of recommended models."""


class ModelList(Choice):
    """A grouped list of models. The data of an item is the name of a model, or the path of a checkpoint.

    Recommended models stand first, with the reason, and again in their group. The last item opens a file dialog; its
    data is None. The open list has a field to search in names and details.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._groups = groups(task)
        self._files: list[tuple[str, ModelCard | None]] = []
        self._best: tuple[Recommendation, ...] = ()
        self._search: ModelSearch | None = None
        self._fill()
        self.setCurrentIndex(1)

    def _fill(self) -> None:
        self.clear()
        if self._best:
            self._add_heading(_BEST)
        for advised in self._best:
            self.addItem(advised.card.name, advised.card.name)
            self.show_detail(self.count() - 1, advised.card)
            self.setItemData(self.count() - 1, advised.reason, DETAIL)
        for heading, cards in self._groups.items():
            if cards:
                self._add_heading(heading)
            for card in cards:
                self.addItem(card.name, card.name)
                self.show_detail(self.count() - 1, card)
        self._add_heading("Your file")
        for path, known in self._files:
            self.addItem(Path(path).name, path)
            if known is not None:
                self.show_detail(self.count() - 1, known)
        self.addItem(_FILE, None)

    def _add_heading(self, title: str) -> None:
        self.addItem(title)
        item = self.model().item(self.count() - 1)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        font = item.font()
        font.setBold(True)
        item.setFont(font)

    def recommend(self, advised: Sequence[Recommendation]) -> None:
        """Put the best models that fit first, or else the best one; the choice stays."""
        fitting = [one for one in advised if one.fits][:_MOST_BEST]
        best = tuple(fitting or advised[:1])
        if best == self._best:
            return
        self._best, chosen = best, self.chosen()
        with signals_blocked(self):
            self._fill()
            self.setCurrentIndex(self.count() - 1 if chosen is None else self.findData(chosen))

    def show_detail(self, index: int, card: ModelCard) -> None:
        """Set the details that the open list shows below the name of an item."""
        path = self.itemData(index)
        self._files = [(file, card if file == path else known) for file, known in self._files]
        self.setItemData(index, detail(card), DETAIL)
        tip = f"{card.title}\n{describe(card)}\n{card.paper}\n{weights_summary(card)}"
        self.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)

    def chosen(self) -> str | None:
        """Return the name or path of the chosen model; None while a file is being chosen."""
        return self.currentData()  # type: ignore[no-any-return]

    def choose(self, model: str) -> None:
        """Choose a model by name, or by the path of a checkpoint, which is added to the list."""
        index = self.findData(model)
        if index < 0:
            index = self.count() - 1
            self._files.append((model, None))
            self.insertItem(index, Path(model).name, model)
        self.setCurrentIndex(index)

    def remove(self, model: str) -> None:
        """Remove the path of a checkpoint from the list. If it is chosen, choose another model first."""
        self._files = [(path, card) for path, card in self._files if path != model]
        index = self.findData(model)
        with signals_blocked(self):
            self.removeItem(index)

    def showPopup(self) -> None:
        """Open the list with its search field."""
        self._search = ModelSearch(self)
        self._search.open()

    def hidePopup(self) -> None:
        super().hidePopup()
        if self._search is not None:
            self._search.close()
            self._search = None

    def take(self, row: int) -> None:
        """Choose a row, as a click on the list does."""
        self.setCurrentIndex(row)
        self.activated.emit(row)

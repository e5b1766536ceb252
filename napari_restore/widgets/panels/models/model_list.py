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
        self._best: tuple[Recommendation, ...] = ()
        self._search: ModelSearch | None = None
        for heading, cards in groups(task).items():
            if cards:
                self._insert_heading(self.count(), heading)
            for card in cards:
                self.addItem(card.name, card.name)
                self.show_detail(self.count() - 1, card)
        self._insert_heading(self.count(), "Your file")
        self.addItem(_FILE, None)
        self.setCurrentIndex(1)

    def _insert_heading(self, row: int, title: str) -> None:
        self.insertItem(row, title)
        item = self.model().item(row)
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
        chosen = self.chosen()
        with signals_blocked(self):
            for _ in range(len(self._best) + bool(self._best)):
                self.removeItem(0)
            for row, one in enumerate(best):
                self.insertItem(row, one.card.name, one.card.name)
                self.show_detail(row, one.card)
                self.setItemData(row, one.reason, DETAIL)
            if best:
                self._insert_heading(0, _BEST)
            self.setCurrentIndex(self.count() - 1 if chosen is None else self.findData(chosen))
        self._best = best

    def show_detail(self, index: int, card: ModelCard) -> None:
        """Set the details that the open list shows below the name of an item."""
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
            self.insertItem(index, Path(model).name, model)
        self.setCurrentIndex(index)

    def remove(self, model: str) -> None:
        """Remove the path of a checkpoint from the list. If it is chosen, choose another model first."""
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

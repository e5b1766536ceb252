"""The list of models, with details of each, and of the user's checkpoints."""

from __future__ import annotations

__all__ = ["ModelList"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QStyledItemDelegate
from superqt.utils import signals_blocked

from napari_restore.widgets.jobs.job import Task
from napari_restore.widgets.jobs.models.cards import describe, detail, groups, weights_summary
from napari_restore.widgets.panels.controls.choice import Choice

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard

_FILE = "Your file…"
_DETAIL = Qt.ItemDataRole.UserRole + 1


class ModelList(Choice):
    """A grouped list of models. The data of an item is the name of a model, or the path of a checkpoint.

    The last item opens a file dialog; its data is None.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.setItemDelegate(_NamesWithDetails(self))
        for heading, cards in groups(task).items():
            if cards:
                self._add_heading(heading)
            for card in cards:
                self.addItem(card.name, card.name)
                self.show_detail(self.count() - 1, card)
        self._add_heading("Your file")
        self.addItem(_FILE, None)
        self.setCurrentIndex(1)
        view = self.view()
        assert view is not None
        # The open list may be wider than the dock widget, so that the details fit.
        view.setMinimumWidth(min(view.sizeHintForColumn(0) + 80, 760))

    def _add_heading(self, title: str) -> None:
        self.addItem(title)
        item = self.model().item(self.count() - 1)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        font = item.font()
        font.setBold(True)
        item.setFont(font)

    def show_detail(self, index: int, card: ModelCard) -> None:
        """Set the details that the open list shows after the name of an item."""
        self.setItemData(index, detail(card), _DETAIL)
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


class _NamesWithDetails(QStyledItemDelegate):
    """A delegate that shows details after each name in the open list; the closed list shows the name only."""

    def initStyleOption(self, option: Any, index: Any) -> None:
        super().initStyleOption(option, index)
        details = index.data(_DETAIL)
        if details:
            option.text = f"{option.text}  ·  {details}"

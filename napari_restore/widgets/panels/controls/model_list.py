"""The list of models: grouped, with what stands behind each name, and with files of the user's own."""

from __future__ import annotations

__all__ = ["ModelList"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QStyledItemDelegate

from napari_restore.widgets.jobs.job import Task
from napari_restore.widgets.jobs.models import describe, detail, groups, state
from napari_restore.widgets.panels.controls.choice import Choice

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard

_FILE = "Your file…"
_DETAIL = Qt.ItemDataRole.UserRole + 1


class ModelList(Choice):
    """A list of models by name; the data of an item is the name, or the path of a checkpoint.

    The last item stands for a file that is yet to be chosen; its data is None.
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
        # The list is wider than the dock widget where its details need it.
        view.setMinimumWidth(min(view.sizeHintForColumn(0) + 80, 760))

    def _add_heading(self, title: str) -> None:
        self.addItem(title)
        item = self.model().item(self.count() - 1)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        font = item.font()
        font.setBold(True)
        item.setFont(font)

    def show_detail(self, index: int, card: ModelCard) -> None:
        """Show what stands behind the name of an item."""
        self.setItemData(index, detail(card), _DETAIL)
        tip = f"{card.title}\n{describe(card)}\n{card.paper}\n{state(card)}"
        self.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)

    def chosen(self) -> str | None:
        """Name or path of the model that is chosen; None while a file is being chosen."""
        return self.currentData()  # type: ignore[no-any-return]

    def choose(self, model: str) -> None:
        """Choose a model by name, or by the path of a checkpoint, which is added to the list."""
        index = self.findData(model)
        if index < 0:
            index = self.count() - 1
            self.insertItem(index, Path(model).name, model)
        self.setCurrentIndex(index)


class _NamesWithDetails(QStyledItemDelegate):
    """Shows details behind each name of the open list; what is chosen is shown by its name alone."""

    def initStyleOption(self, option: Any, index: Any) -> None:
        super().initStyleOption(option, index)
        details = index.data(_DETAIL)
        if details:
            option.text = f"{option.text}  ·  {details}"

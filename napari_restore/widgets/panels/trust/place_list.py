"""The list of places to look at."""

from __future__ import annotations

__all__ = ["PlaceList"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

if TYPE_CHECKING:
    from napari_restore.assessment.places import Place

_SHOWN = 100
"""Most places in the list; the report has more."""
_FOUND_BY = {
    "structure": "a spot or filament",
    "contrast": "a share of the local contrast of the result",
    "neighbours": "something that goes on in the neighbouring planes",
}


class PlaceList(QTableWidget):
    """Places to look at, the least probable first: position, kind, and decimal logarithm of the probability."""

    chosen = Signal(object)
    """The place that was clicked, or reached by the arrow keys."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self._places: list[Place] = []
        self.setHorizontalHeaderLabels(["Place", "", "log10 p"])
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Places to look at")
        self.setToolTip("Click a place to move there; the arrow keys go from place to place")
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None and columns is not None
        rows.hide()
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.currentCellChanged.connect(self._moved)
        self.cellClicked.connect(lambda row, column: self.chosen.emit(self._places[row]))

    def show_places(self, places: Sequence[Place], axes: str) -> None:
        """List places.

        Parameters
        ----------
        places : sequence of Place
            The least probable first.
        axes : str
            Axes of the source; others are not named.
        """
        self._places = []
        self.setRowCount(0)
        self.setRowCount(min(len(places), _SHOWN))
        for row, place in enumerate(places[:_SHOWN]):
            words = (place.where(axes), "added" if place.added else "taken away", f"{place.log10_p:.1f}")
            for column, text in enumerate(words):
                item = QTableWidgetItem(text)
                item.setToolTip(
                    f"{words[0]}: {_FOUND_BY[place.kind]} was {words[1]}; noise alone does so with a probability of "
                    f"10^{place.log10_p:.1f}"
                )
                self.setItem(row, column, item)
        self._places = list(places[:_SHOWN])

    def _moved(self, row: int, column: int, before: int, column_before: int) -> None:
        if 0 <= row < len(self._places) and row != before and before >= 0:
            self.chosen.emit(self._places[row])

"""The open list of models: a field to search in, and names with details below."""

from __future__ import annotations

__all__ = ["DETAIL", "ModelSearch"]

from typing import Any

from qtpy.QtCore import QEvent, QModelIndex, QObject, QPoint, QRect, QSize, QSortFilterProxyModel, Qt
from qtpy.QtGui import QKeyEvent, QPainter
from qtpy.QtWidgets import QApplication, QFrame, QLineEdit, QListView, QStyledItemDelegate, QVBoxLayout

DETAIL = Qt.ItemDataRole.UserRole + 1
"""Role of the details of an item."""
_WIDTH, _HEIGHT = 430, 460
_MOVING = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)


class ModelSearch(QFrame):
    """A popup with the items of a combo box, of which a search field keeps those with all typed words.

    Arrows move in the list, Enter chooses, Escape closes.

    Parameters
    ----------
    box : QComboBox
        The combo box, with a method ``take(row)``; headings are items that are not enabled.
    """

    def __init__(self, box: Any) -> None:
        super().__init__(box, Qt.WindowType.Popup)
        self._box: Any = box
        self.field, self.list = QLineEdit(), QListView()
        self.field.setPlaceholderText("Search, for example gray 25")
        self.field.setClearButtonEnabled(True)
        self.field.setAccessibleName("Search models")
        self.list.setAccessibleName("Models")
        self.list.setItemDelegate(_TwoLines(self.list))
        self.list.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMouseTracking(True)
        self._found = _Found(self)
        self._found.setSourceModel(box.model())
        self.list.setModel(self._found)
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 1, 1, 1)
        column.setSpacing(0)
        column.addWidget(self.field)
        column.addWidget(self.list)
        self.field.textChanged.connect(self._search)
        self.field.installEventFilter(self)
        self.list.clicked.connect(self._take)

    def open(self) -> None:
        """Show the popup below its combo box, or above where it fits better, with the chosen item marked."""
        screen = self._box.screen().availableGeometry()
        width = min(max(_WIDTH, self._box.width()), screen.width())
        below = self._box.mapToGlobal(QPoint(0, self._box.height()))
        height = min(_HEIGHT, screen.height() // 2)
        top = below.y() if below.y() + height <= screen.bottom() else max(screen.top(), screen.bottom() - height)
        left = min(max(below.x(), screen.left()), screen.right() - width)
        self.setGeometry(QRect(left, top, width, height))
        self._mark(self._found.mapFromSource(self._box.model().index(self._box.currentIndex(), 0)))
        self.show()
        self.field.setFocus()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Let the keys of the list work in the search field."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in _MOVING:
                QApplication.sendEvent(self.list, event)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._take(self.list.currentIndex())
                return True
        return False

    def _search(self, text: str) -> None:
        self._found.search(text)
        rows = (self._found.index(row, 0) for row in range(self._found.rowCount()))
        self._mark(next((index for index in rows if index.flags() & Qt.ItemFlag.ItemIsEnabled), QModelIndex()))

    def _mark(self, index: QModelIndex) -> None:
        self.list.setCurrentIndex(index)
        self.list.scrollTo(index)

    def _take(self, index: QModelIndex) -> None:
        if index.isValid() and index.flags() & Qt.ItemFlag.ItemIsEnabled:
            self.close()
            self._box.take(self._found.mapToSource(index).row())


class _Found(QSortFilterProxyModel):
    """The items with all words of a search in name or details, and the headings of these."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._words: list[str] = []

    def search(self, text: str) -> None:
        self._words = text.lower().split()
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        model = self.sourceModel()
        assert model is not None
        if self._is_heading(row):
            following = range(row + 1, model.rowCount())
            ends = next((other for other in following if self._is_heading(other)), model.rowCount())
            return any(self._has_words(other) for other in range(row + 1, ends))
        return self._has_words(row)

    def _is_heading(self, row: int) -> bool:
        model = self.sourceModel()
        assert model is not None
        return not model.index(row, 0).flags() & Qt.ItemFlag.ItemIsEnabled

    def _has_words(self, row: int) -> bool:
        model = self.sourceModel()
        assert model is not None
        index = model.index(row, 0)
        text = f"{index.data()} {index.data(DETAIL) or ''}".lower()
        return all(word in text for word in self._words)


class _TwoLines(QStyledItemDelegate):
    """A delegate that writes the details of an item below its name, in smaller and paler letters."""

    def sizeHint(self, option: Any, index: Any) -> QSize:
        size = super().sizeHint(option, index)
        return QSize(0, size.height() + (option.fontMetrics.height() if index.data(DETAIL) else 4))

    def paint(self, painter: QPainter | None, option: Any, index: Any) -> None:
        assert painter is not None
        details = index.data(DETAIL)
        self.initStyleOption(option, index)
        if not details:
            super().paint(painter, option, index)
            return
        name, option.text = option.text, ""
        style = option.widget.style()
        style.drawControl(style.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        painter.save()
        painter.setPen(option.palette.color(option.palette.ColorRole.Text))
        box = option.rect.adjusted(14, 2, -6, -2)
        metrics = option.fontMetrics
        top = int(Qt.AlignmentFlag.AlignTop)
        painter.drawText(box, top, metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, box.width()))
        font = painter.font()
        font.setPointSizeF(0.85 * font.pointSizeF())
        painter.setFont(font)
        painter.setOpacity(0.7)
        low = int(Qt.AlignmentFlag.AlignBottom)
        shown = painter.fontMetrics().elidedText(details, Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, low, shown)
        painter.restore()

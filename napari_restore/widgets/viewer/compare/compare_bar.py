"""A bar on the canvas that says what is compared, and how the result is to be judged."""

from __future__ import annotations

__all__ = ["CompareBar"]

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, QPointF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.widgets.jobs.compare.figures import Measures

_NO_BREAK = "\u00a0"
_MARGIN, _WIDEST = 8, 620
"""Distance from the edges of the canvas, and largest width, in pixels."""


class _RemovedHistogram(QWidget):
    """A histogram of what was removed, with a line at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: NDArray[Any] = np.zeros(0)
        self.setFixedSize(QSize(96, 34))

    def show_counts(self, counts: NDArray[Any], reach: float) -> None:
        """Show counts; no counts hide the widget.

        Parameters
        ----------
        counts : ndarray
            Number of pixels for each bin.
        reach : float
            Difference of source and result at both ends.
        """
        self.counts = counts
        self.setToolTip(f"Source minus result, from {-reach:.3g} to {reach:.3g}; the line is zero")
        self.setVisible(bool(counts.size))
        self.update()

    def paintEvent(self, event: Any) -> None:
        if not self.counts.size:
            return
        width, height = self.width() - 1, self.height() - 1
        x = np.linspace(0, width, self.counts.size)
        y = height * (1 - self.counts / max(self.counts.max(), 1))
        colour = self.palette().windowText().color()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour.red(), colour.green(), colour.blue(), 130))
        corners = [(0, height), *zip(x, y, strict=True), (width, height)]
        painter.drawPolygon(QPolygonF([QPointF(float(a), float(b)) for a, b in corners]))
        painter.setPen(QPen(colour, 1))
        painter.drawLine(QPointF(width / 2, 0), QPointF(width / 2, height))
        painter.end()


class CompareBar(QObject):
    """The bar at the upper edge of the canvas: names of source and result, histogram, figures and a sentence.

    It is there while a complete result is compared, until its × is clicked.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer of the canvas.
    parent : QObject
        Parent of this object.

    Attributes
    ----------
    frame : QFrame or None
        The bar; None until it is first shown.
    """

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.frame: QFrame | None = None
        self._window: QWidget | None = None
        self._sides = ("", "")
        self._closed = False

    def follow(self, window: QWidget) -> None:
        """Use the canvas of this main window."""
        self._window = window

    def show_sides(self, source: str, result: str) -> None:
        """Show the names of source and result; empty names hide the bar. Other names than before open it again."""
        if (source, result) != self._sides:
            self._closed = False
        self._sides = (source, result)
        if not source or self._closed or self._window is None:
            self._hide()
            return
        self._make()
        self.source.setText(f"◀ {source}")
        self.result.setText(f"{result.removeprefix(f'{source} ▸ ')} ▶")
        self.result.setToolTip(result)
        self._place()

    def show_before(self, alone: bool) -> None:
        """Show whether the canvas shows the source alone."""
        if self.frame is not None:
            self.result.setEnabled(not alone)
            font = self.source.font()
            font.setBold(alone)
            self.source.setFont(font)

    def show_outdated(self) -> None:
        """Pale what was measured, until it is measured again: the bar does not jump while the view moves."""
        if self.frame is not None:
            self._set_current(False)

    def _set_current(self, current: bool) -> None:
        for part in (self.sentence, self.figures, self.histogram):
            part.setEnabled(current)

    def show_measures(self, measures: Measures | None) -> None:
        """Show what was measured; None removes it."""
        if self.frame is None:
            return
        self._set_current(True)
        if measures is None:
            self.histogram.show_counts(np.zeros(0), 0.0)
        else:
            self.histogram.show_counts(measures.counts, measures.reach)
        parts = () if measures is None else measures.figures
        # Lines are broken between figures only.
        words = (f"{each.mark} {each.text}".strip().replace(" ", _NO_BREAK) for each in parts)
        self.figures.setText(f"{_NO_BREAK}{_NO_BREAK} ".join(words))
        self.figures.setToolTip("\n".join(f"{each.text}: {each.meaning}" for each in parts))
        self.sentence.setText("" if measures is None else measures.sentence)
        for label in (self.sentence, self.figures):
            label.setVisible(bool(label.text()))  # empty, it would take the height of a line
        self._place()

    def open_again(self) -> None:
        """Show the bar also if it was closed."""
        self._closed = False
        self.show_sides(*self._sides)

    def end(self) -> None:
        """Remove the bar from the canvas. A reference would keep the canvas of a closed window in memory."""
        if self.frame is not None:
            self.frame.parent().removeEventFilter(self)
            self.frame.deleteLater()
        self.frame, self._window = None, None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the bar at the upper edge of the canvas."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _make(self) -> None:
        if self.frame is not None:
            self.frame.show()
            return
        canvas = None if self._window is None else self._window.findChild(QOpenGLWidget)
        if canvas is None:
            return
        self.frame = QFrame(canvas)
        self.frame.setObjectName("compare_bar")
        self.frame.setStyleSheet("#compare_bar { border-radius: 4px; }")
        self.source, self.result, self.sentence = QElidingLabel(), QElidingLabel(), QLabel()
        self.figures, self.histogram, self.close = QLabel(), _RemovedHistogram(), QToolButton()
        self.result.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.sentence.setWordWrap(True)
        self.figures.setWordWrap(True)
        self.close.setText("×")
        self.close.setAutoRaise(True)
        self.close.setToolTip("Close this bar; Figures opens it again")
        self.close.clicked.connect(self._close)
        for label in (self.source, self.result):
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.sentence)
        words.addWidget(self.figures)
        rows = QGridLayout(self.frame)
        rows.setContentsMargins(8, 4, 4, 4)
        rows.setVerticalSpacing(2)
        rows.addWidget(self.source, 0, 0, 1, 2)
        rows.addWidget(self.result, 0, 2)
        rows.addWidget(self.close, 0, 3)
        rows.addWidget(self.histogram, 1, 0)
        rows.addLayout(words, 1, 1, 1, 3)
        rows.setColumnStretch(1, 1)
        rows.setColumnStretch(2, 2)
        self.show_measures(None)
        canvas.installEventFilter(self)
        self.frame.show()

    def _place(self) -> None:
        if self.frame is None:
            return
        canvas = self.frame.parent()
        width = min(canvas.width() - 2 * _MARGIN, _WIDEST)
        layout = self.frame.layout()
        layout.activate()  # or the inner layout would give the height of the text before
        height = layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()
        self.frame.setGeometry((canvas.width() - width) // 2, _MARGIN, width, height)

    def _hide(self) -> None:
        if self.frame is not None:
            self.frame.hide()

    def _close(self) -> None:
        self._closed = True
        self._hide()

"""A slider with two handles below the histogram of the values that it selects from."""

from __future__ import annotations

__all__ = ["HistogramSlider"]

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt import QDoubleRangeSlider
from superqt.utils import signals_blocked

if TYPE_CHECKING:
    from napari_restore.engine.planning.sampling import Histogram

Pair = tuple[float, float]

_HEIGHT = 36
"""Height of the histogram in pixels."""
_MARGIN = 9
"""Pixels at each end of the slider that its handles need."""


class HistogramSlider(QWidget):
    """A histogram, in square roots so that few bright pixels are seen, and a slider for the ends of a range."""

    moved, released = Signal(object), Signal(object)
    """The range, while a handle is dragged or moved by keys, and at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.drawing, self.slider = _Drawing(), _Slider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Value range")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.drawing)
        column.addWidget(self.slider)
        words = "Histogram of an even sample of the layer; the handles are the values that become 0 and 1"
        for part in (self, self.slider):
            part.setToolTip(words)
        self._dragged = False
        self.slider.sliderPressed.connect(self._pressed)
        self.slider.valueChanged.connect(self._moved)
        self.slider.sliderReleased.connect(self._released)
        self.hide()

    def show_histogram(self, histogram: Histogram | None) -> None:
        """Show the histogram of a layer, or hide slider and histogram if there is none."""
        self.drawing.histogram = histogram
        self.setVisible(histogram is not None)
        self.drawing.update()

    def show_range(self, pair: Pair | None) -> None:
        """Move the handles, without a signal. The slider spans histogram and range; None: the range is unknown."""
        histogram = self.drawing.histogram
        self.slider.setEnabled(pair is not None)
        if histogram is None or pair is None or self._dragged:
            return
        ends = min(histogram.low, pair[0]), max(histogram.high, pair[1])
        with signals_blocked(self.slider):
            self.slider.setRange(*ends)
            self.slider.setSingleStep((ends[1] - ends[0]) / 200)
            self.slider.setValue(pair)
        self.drawing.span, self.drawing.chosen = ends, pair
        self.drawing.update()

    def _pressed(self) -> None:
        self._dragged = True

    def _moved(self, pair: Pair) -> None:
        self.drawing.chosen = (float(pair[0]), float(pair[1]))
        self.drawing.update()
        self.moved.emit(self.drawing.chosen)
        if not self._dragged:  # by keys or the wheel
            self.released.emit(self.drawing.chosen)

    def _released(self) -> None:
        self._dragged = False
        self.released.emit(self.drawing.chosen)


class _Slider(QDoubleRangeSlider):
    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a border around a slider with the keyboard focus: superqt ignores that of style sheets."""
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self)
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
            painter.end()


class _Drawing(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.histogram: Histogram | None = None
        self.span: Pair = (0.0, 1.0)
        self.chosen: Pair = (0.0, 1.0)
        self.setFixedHeight(_HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bars: those in the range in the colour of texts, all others paler."""
        if self.histogram is None:
            return
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        heights = np.sqrt(np.array(self.histogram.counts) / max(1, *self.histogram.counts))
        edges = np.linspace(self.histogram.low, self.histogram.high, len(heights) + 1)
        width = self.width() - 2 * _MARGIN
        across = _MARGIN + (edges - self.span[0]) / (self.span[1] - self.span[0]) * width
        colour = self.palette().color(self.foregroundRole())
        for k, height in enumerate(heights):
            middle = (edges[k] + edges[k + 1]) / 2
            inside = self.chosen[0] <= middle <= self.chosen[1]
            painter.setBrush(QColor(colour.red(), colour.green(), colour.blue(), 200 if inside else 70))
            tall = height * (_HEIGHT - 2)
            painter.drawRect(QRectF(across[k], _HEIGHT - tall, max(1.0, across[k + 1] - across[k]), tall))
        painter.end()

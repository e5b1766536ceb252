"""The control of the value range, for all channels or for each, with the histogram of the layer."""

from __future__ import annotations

__all__ = ["RangeEdit", "ValueRange"]

from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QLocale, Signal
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QLineEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_restore.errors import RecipeError
from napari_restore.widgets.panels.controls.box import side_by_side
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.histogram_slider import HistogramSlider

if TYPE_CHECKING:
    from napari_restore.engine.planning.sampling import Histogram

Pair = tuple[float, float]
ValueRange = tuple[Pair, ...] | None
"""One pair for all channels, or one for each; None: estimated."""


class RangeEdit(QWidget):
    """A histogram with a slider, two fields for the ends of the range, and a list of channels.

    Empty fields: the range is estimated.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.channel, self.low, self.high, self.reset = Choice(), QLineEdit(), QLineEdit(), QPushButton("auto")
        self.channel.setToolTip("Channel of the range; all: one range for all channels")
        self.channel.setAccessibleName("Channel of the range")
        self.reset.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.reset.setToolTip("Estimate the range of all channels from an even sample")
        self.reset.setAccessibleName("Estimate the range")
        numbers = QDoubleValidator(self)
        numbers.setLocale(QLocale.c())  # as all numbers of the dock widget
        for edit, name in ((self.low, "Value that becomes 0"), (self.high, "Value that becomes 1")):
            edit.setValidator(numbers)
            edit.setAccessibleName(name)
            edit.setMinimumWidth(50)
            edit.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            edit.editingFinished.connect(self._edited)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.histogram = HistogramSlider()
        column.addWidget(self.channel)
        column.addWidget(self.histogram)
        column.addWidget(side_by_side(self.low, self.high, self.reset))
        self._typed: dict[int, tuple[str, str]] = {}
        """Typed text for each channel; key -1 is for all channels."""
        self._shown = -1
        self._estimate: tuple[Pair, ...] = ()
        self._histograms: tuple[Histogram | None, ...] = ()
        self._source: Hashable = None
        self._typed_of: dict[Hashable, dict[int, tuple[str, str]]] = {}
        """Typed text of the sources before."""
        self.set_channels(())
        self.channel.currentIndexChanged.connect(self._switched)
        self.reset.clicked.connect(self._reset)
        self.histogram.moved.connect(self._dragged)
        self.histogram.released.connect(lambda pair: self._edited())

    def set_source(self, source: Hashable) -> None:
        """Set what the range is for. Each source has its own typed range, and no estimate yet.

        Parameters
        ----------
        source : hashable
            Identifies the source; None: there is none. A range that is typed before there is one is for the first.
        """
        if source == self._source:
            return
        self._remember()
        if self._source is not None:
            self._typed_of[self._source] = self._typed
            self._typed = dict(self._typed_of.get(source, {}))
        self._source, self._estimate, self._histograms = source, (), ()
        self._show(-1)

    def set_channels(self, names: Sequence[str]) -> None:
        """Set the names of the channels. If they change, typed ranges of single channels are dropped."""
        if [self.channel.itemText(i) for i in range(1, self.channel.count())] == [*names] and self.channel.count():
            return
        self._remember()
        self._typed = {-1: self._typed.get(-1, ("", ""))}
        self.channel.blockSignals(True)
        self.channel.clear()
        self.channel.addItems(["all", *names])
        self.channel.blockSignals(False)
        self.channel.setVisible(len(names) > 1)
        self._show(-1)

    def value(self) -> ValueRange:
        """Return the typed range; None: estimated.

        Raises
        ------
        RecipeError
            If only one end is typed, the ends do not rise, or a channel has neither a typed nor an estimated range.
        """
        self._remember()
        count = self.channel.count() - 1
        common = _pair(self._typed.get(-1, ("", "")))
        own = [_pair(self._typed.get(channel, ("", ""))) for channel in range(count)]
        if not any(own):
            return None if common is None else (common,)
        rest = [common] * count if common else [*self._estimate] if len(self._estimate) == count else [None] * count
        pairs = [mine or other for mine, other in zip(own, rest, strict=True)]
        if None in pairs:
            raise RecipeError(f"channel {pairs.index(None)} has no value range yet; wait for its estimate, or give it.")
        return tuple(pair for pair in pairs if pair is not None)

    def set_value(self, value: ValueRange) -> None:
        """Show a range; None: it is estimated."""
        if value is not None and len(value) > 1:
            self.set_channels([f"channel {channel}" for channel in range(len(value))])
            self._typed = {channel: _texts(*pair) for channel, pair in enumerate(value)}
            self._show(0)
            return
        self._typed = {-1: _texts(*value[0])} if value else {}
        self._show(-1)

    def show_estimate(self, ranges: Sequence[Pair]) -> None:
        """Show the estimated range in gray where none is typed."""
        self._estimate = tuple(ranges)
        lines = "\n".join(f"channel {c}: {low:g} … {high:g}" for c, (low, high) in enumerate(ranges))
        meaning = ("Value that becomes 0 for the network; empty: estimated", "Value that becomes 1; empty: estimated")
        for edit, words, end in zip((self.low, self.high), meaning, (0, 1), strict=True):
            shown = ranges[0] if len(ranges) == 1 else ranges[self._shown] if 0 <= self._shown < len(ranges) else None
            edit.setPlaceholderText(f"{shown[end]:g}" if shown else ("per channel" if ranges else ""))
            edit.setToolTip(f"{words}\n{lines}" if len(ranges) > 1 else words)
        self._show_histogram()

    def show_histograms(self, histograms: Sequence[Histogram | None]) -> None:
        """Show the histograms of the layer, one for each channel; none: they are not known yet."""
        self._histograms = tuple(histograms)
        self._show_histogram()

    def _show_histogram(self) -> None:
        """Show the histogram of the channel, or that of the first one for all, with the typed or estimated range."""
        number = max(self._shown, 0)
        here = self._histograms[number] if number < len(self._histograms) else None
        several = self._shown < 0 and len(self._histograms) > 1
        self.histogram.show_histogram(None if several and len(self._estimate) > 1 else here)
        pair: Pair | None = None
        with suppress(RecipeError, ValueError):  # the text is not complete yet
            pair = _pair((self.low.text().strip(), self.high.text().strip()))
        if pair is None and self._estimate:
            pair = self._estimate[min(number, len(self._estimate) - 1)]
        self.histogram.show_range(pair)

    def _dragged(self, pair: Pair) -> None:
        for edit, value in zip((self.low, self.high), pair, strict=True):
            edit.setText(f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}")

    def _show(self, channel: int) -> None:
        self._shown = channel
        with signals_blocked(self.channel):
            self.channel.setCurrentIndex(channel + 1)
        for edit, text in zip((self.low, self.high), self._typed.get(channel, ("", "")), strict=True):
            edit.setText(text)
        self.show_estimate(self._estimate)

    def _remember(self) -> None:
        self._typed[self._shown] = (self.low.text().strip(), self.high.text().strip())

    def _switched(self, index: int) -> None:
        self._remember()
        self._show(index - 1)

    def _edited(self) -> None:
        before = dict(self._typed)
        self._remember()
        if self._typed.get(self._shown) != before.get(self._shown, ("", "")):
            self._show_histogram()
            self.changed.emit()

    def _reset(self) -> None:
        self._typed = {}
        self._show(self._shown)
        self.changed.emit()


def _texts(*pair: float) -> tuple[str, str]:
    low, high = (repr(float(value)).removesuffix(".0") for value in pair)
    return low, high


def _pair(texts: tuple[str, str]) -> Pair | None:
    if not any(texts):
        return None
    if not all(texts):
        raise RecipeError("the value range has only one end; give both, or none to have it estimated.")
    low, high = (float(text) for text in texts)
    if not low < high:
        raise RecipeError(f"value range {low:g}..{high:g}: the first must be less than the second.")
    return low, high

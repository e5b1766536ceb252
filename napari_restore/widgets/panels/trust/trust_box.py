"""The controls of the dock widget that assesses a result."""

from __future__ import annotations

__all__ = ["TrustBox"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_restore.widgets.jobs.trust.assessing import MAPS
from napari_restore.widgets.panels.controls.box import Box, wrapped
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.note import Note
from napari_restore.widgets.panels.trust.place_list import PlaceList
from napari_restore.wording import counted

if TYPE_CHECKING:
    from napari_restore.widgets.jobs.trust.assessing import BlocksDone, Found
    from napari_restore.widgets.jobs.trust.shown_pair import ShownResult


class TrustBox(QWidget):
    """Result and source, the button that assesses them, the verdict, the places to look at, and the maps.

    Layers are compared by ``==``, not by ``is``: napari gives a plugin a new proxy of a layer at each access.
    """

    result_chosen, pair_changed = Signal(), Signal()
    assess_wanted, stop_wanted, report_wanted, map_changed = Signal(), Signal(), Signal(), Signal()

    def __init__(self) -> None:
        super().__init__()
        self.running = False
        pair = Box("Result and source")
        self.results, self.sources, self.axes = Choice(), Choice(), QLineEdit()
        pair.add("Result", self.results, "The result to assess: of this package, or of any other tool")
        pair.add("Source", self.sources, "The noisy layer that it was made from")
        pair.add("Axes", self.axes, "One letter of TCZYXS for each axis of the source")
        self.assess, self.report = QPushButton("Assess"), QPushButton("Report")
        self.report.setToolTip("All that was measured: noise, places, photometry and resolution")
        pair.add_wide(wrapped(self.assess, self.report))
        self.bar, self.line = QProgressBar(), Note("What was found, in one line")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setToolTip("Assessed blocks")
        font = self.line.font()
        font.setBold(True)
        self.line.setFont(font)
        self.told = Note("How many places there are, and where the maps are")
        self.places = PlaceList()
        maps = Box("Map")
        self.maps, self.channels = Choice(), Choice()
        for name, title in MAPS.items():
            self.maps.addItem(title, name)
        self.show_map = QPushButton("Show")
        self.show_map.setCheckable(True)
        self.show_map.setToolTip("Show the map as a layer over the result, or remove it")
        maps.add(
            "Map",
            self.maps,
            "Orange: taken away; blue: added; transparent: what noise alone explains. Uncertainty: standard deviation "
            "of the error of each pixel, if it was stored with the result",
            self.show_map,
        )
        maps.add("Channel", self.channels, "The channel of the map; a place chooses its own")
        self.map_box = maps
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for part in (pair, self.bar, self.line, self.told):
            column.addWidget(part)
        column.addWidget(self.places, 1)
        column.addWidget(maps)
        self.results.currentIndexChanged.connect(self.result_chosen)
        self.sources.currentIndexChanged.connect(self.pair_changed)
        self.axes.editingFinished.connect(self.pair_changed)
        self.assess.clicked.connect(lambda: (self.stop_wanted if self.running else self.assess_wanted).emit())
        self.report.clicked.connect(self.report_wanted)
        self.show_map.toggled.connect(self.map_changed)
        self.maps.currentIndexChanged.connect(self.map_changed)
        self.channels.currentIndexChanged.connect(self.map_changed)
        self.show_nothing()
        self.set_running(False)

    # ---------------------------------------------------------------------------------------------- choices

    def set_results(self, results: Sequence[ShownResult], chosen: ShownResult | None) -> None:
        """List results, without a signal."""
        with signals_blocked(self.results):
            self.results.clear()
            for each in results:
                self.results.addItem(each.name, each)
            self.results.setCurrentIndex(-1 if chosen is None else list(results).index(chosen))

    def set_sources(self, layers: Sequence[Any], chosen: Any) -> None:
        """List sources, without a signal."""
        with signals_blocked(self.sources):
            self.sources.clear()
            for layer in layers:
                self.sources.addItem(layer.name, layer)
            self.sources.setCurrentIndex(-1 if chosen is None else list(layers).index(chosen))

    def result(self) -> ShownResult | None:
        """Return the chosen result."""
        found: ShownResult | None = self.results.currentData()
        return found

    def source(self) -> Any:
        """Return the chosen source, or None."""
        return self.sources.currentData()

    def letters(self) -> str:
        """Return the typed axes, in upper case."""
        return str(self.axes.text()).strip().upper()

    # ---------------------------------------------------------------------------------------------- what is shown

    def set_running(self, running: bool) -> None:
        """Show whether an assessment is in progress."""
        self.running = running
        self.assess.setText("Stop" if running else "Assess")
        self.assess.setToolTip(
            "Stop after the blocks in progress; nothing is kept (Esc)"
            if running
            else "Compare what was removed with what noise explains, block by block. It replaces an earlier assessment"
        )
        self.bar.setVisible(running)
        for part in (self.results, self.sources, self.axes):
            part.setEnabled(not running)

    def show_progress(self, event: BlocksDone) -> None:
        """Show how many blocks are assessed."""
        self.bar.setRange(0, event.total)
        self.bar.setValue(event.done)
        words = f"{event.done} of {counted(event.total, 'block')}" if event.total else "Measuring the noise…"
        self.told.say(words)

    def show_nothing(self) -> None:
        """Show that there is no assessment of the chosen pair."""
        self.line.say("")
        self.told.say("")
        self.places.show_places([], "")
        self.places.hide()
        self.report.setEnabled(False)

    def show_found(self, found: Found) -> None:
        """Show the line, and the places to look at."""
        assessment = found.assessment
        self.line.say(assessment.line)
        count = int(assessment.content["place_count"])
        parts = [f"{counted(count, 'place')} to look at." if count else ""]
        parts += ["Assessed before, and stored beside the result." if found.stored else ""]
        parts += [str(note) for note in assessment.content["notes"]]
        self.told.say(" ".join(filter(None, parts)))
        self.places.show_places(assessment.places, assessment.content["axes"])
        self.places.setVisible(count > 0)
        self.report.setEnabled(True)

    def set_maps(self, found: bool, uncertainty: bool, channels: int) -> None:
        """Enable the maps that there are, and list the channels.

        Parameters
        ----------
        found : bool
            Whether there is an assessment.
        uncertainty : bool
            Whether an uncertainty is stored beside the result.
        channels : int
            Number of channels.
        """
        there = {"significance": found, "residual": found, "uncertainty": uncertainty}
        with signals_blocked(self.maps), signals_blocked(self.channels):
            for row in range(self.maps.count()):
                item = self.maps.model().item(row)
                item.setEnabled(there[self.maps.itemData(row)])
            if not there[self.maps.currentData()]:
                usable = [row for row in range(self.maps.count()) if there[self.maps.itemData(row)]]
                self.maps.setCurrentIndex(usable[0] if usable else 0)
            if self.channels.count() != channels:
                self.channels.clear()
                self.channels.addItems([str(number) for number in range(channels)])
        self.map_box.set_row_visible(self.channels, channels > 1)
        self.map_box.setEnabled(found or uncertainty)

    def choose_channel(self, channel: int) -> None:
        """Choose the channel of the map, if there are several."""
        if 0 <= channel < self.channels.count():
            self.channels.setCurrentIndex(channel)

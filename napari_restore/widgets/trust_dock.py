"""The dock widget that assesses a result: connect its controls with the assessment and with the viewer."""

from __future__ import annotations

__all__ = ["TrustDock"]

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut

from napari_restore.errors import RestoreError, in_window
from napari_restore.widgets.jobs.layers.image_layers import is_helper, is_made_here, own_metadata, suggested_axes
from napari_restore.widgets.jobs.trust.assessing import (
    BlocksDone,
    Earlier,
    Found,
    assess_pair,
    map_layer,
    read_earlier,
)
from napari_restore.widgets.jobs.trust.shown_pair import ShownPair, shown_results
from napari_restore.widgets.panels.controls.box import set_tab_order
from napari_restore.widgets.panels.controls.wheel import WheelNeedsFocus
from napari_restore.widgets.panels.frame.report_window import ReportWindow
from napari_restore.widgets.panels.trust.trust_box import TrustBox
from napari_restore.widgets.threads.turns import Steps, main_window
from napari_restore.widgets.threads.works import Works
from napari_restore.widgets.viewer.trust.going import go_to
from napari_restore.widgets.viewer.trust.shown_map import ShownMap
from napari_restore.widgets.viewer_dock import ViewerDock

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.assessment.places import Place

_ASSESS, _EARLIER = "assess", "earlier"
"""Names of the work on threads."""


class TrustDock(ViewerDock):
    """The dock widget that shows how far a result can be trusted.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Viewer of the layers. napari passes it by the name of this parameter.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self._found: Found | None = None
        self._pair: ShownPair | None = None
        self._uncertainty = False
        self._report: ReportWindow | None = None

    def make_parts(self) -> Steps:
        self.box = TrustBox()
        self.works = Works(self._turns)
        self.map = ShownMap(self.viewer, self.works, self._tell, self)
        self._outer.addWidget(self.box)
        set_tab_order(self)
        WheelNeedsFocus(self)
        box = self.box
        box.result_chosen.connect(self._result_chosen)
        box.pair_changed.connect(self._pair_changed)
        box.assess_wanted.connect(self.assess)
        box.stop_wanted.connect(self.stop)
        box.report_wanted.connect(self._show_report)
        box.map_changed.connect(self._show_map)
        box.places.chosen.connect(self.go_to)
        self.map.ended.connect(lambda: box.show_map.setChecked(False))
        for keys, act in (("Ctrl+Return", self.assess), ("Ctrl+Enter", self.assess), ("Esc", self.stop)):
            QShortcut(QKeySequence(keys), self, act, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._list()
        yield

    # ---------------------------------------------------------------------------------------------- choices

    def choose(self, source: Any, axes: str, result: Any) -> None:
        """Choose what is assessed.

        Parameters
        ----------
        source : napari.layers.Image
            The source.
        axes : str
            Its axes.
        result : napari.layers.Image
            The result, or one of the layers of its channels.
        """
        self._list()
        box = self.box
        for row in range(box.results.count()):
            if result in box.results.itemData(row).layers:
                box.results.setCurrentIndex(row)
        for row in range(box.sources.count()):
            if box.sources.itemData(row) == source:
                box.sources.setCurrentIndex(row)
        box.axes.setText(axes)
        self._pair_changed()

    def _list(self, event: object = None) -> None:
        """List the layers; what is chosen stays."""
        if self.box.running:
            return
        results, before = shown_results(self.viewer.layers), self.box.result()
        kept = next((each for each in results if before is not None and each.layers == before.layers), None)
        self.box.set_results(results, kept or next(iter(results), None))
        self._list_sources(self.box.source())
        if kept is None or self.box.source() is None or (self._pair and self._pair.source != self.box.source()):
            self._result_chosen()

    def _list_sources(self, chosen: Any) -> None:
        result = self.box.result()
        images = [layer for layer in self.viewer.layers if layer.__class__.__name__ == "Image" and not is_helper(layer)]
        sources = [layer for layer in images if result is None or layer not in result.layers]
        self.box.set_sources(sources, chosen if chosen in sources else self._likely_source(sources))

    def _likely_source(self, sources: list[Any]) -> Any:
        """Return the layer that the result names as its source; otherwise the last one that is no result."""
        result = self.box.result()
        name = own_metadata(result.layers[0]).get("source") if result is not None else None
        named = [layer for layer in sources if layer.name == name]
        others = [layer for layer in sources if not is_made_here(layer)] or sources
        return (named or others[-1:] or [None])[0]

    def _result_chosen(self) -> None:
        self._list_sources(None)
        source = self.box.source()
        self.box.axes.setText("" if source is None else suggested_axes(source))
        self._pair_changed()

    def _pair_changed(self) -> None:
        """Forget what was found of another pair, and look for what is stored beside this one."""
        source, result, box = self.box.source(), self.box.result(), self.box
        self._found, self._pair, self._uncertainty = None, None, False
        self.works.drop(_EARLIER)
        box.show_nothing()
        box.show_map.setChecked(False)
        box.set_maps(False, False, 1)
        box.assess.setEnabled(source is not None and result is not None)
        if source is None or result is None:
            box.told.say("Open a noisy image and a result of it, or make one in Denoise.")
            return
        try:
            pair = self._pair = ShownPair.of(source, box.letters(), result)
        except (RestoreError, OSError) as error:
            self._tell(in_window(error), warning=True)
            box.assess.setEnabled(False)
            return
        self.works.start(_EARLIER, lambda stop: read_earlier(pair, result.name), self._earlier, self._earlier_read)

    def _earlier(self, found: Earlier) -> None:
        self._uncertainty = found.uncertainty
        if found.found is not None:
            self._take(found.found)
        elif self._found is None:
            self._list_maps()

    def _earlier_read(self, error: BaseException | None) -> None:
        if error is not None:
            self._tell(in_window(error), warning=True)

    # ---------------------------------------------------------------------------------------------- assessing

    def assess(self) -> None:
        """Assess the chosen pair."""
        source, result, box = self.box.source(), self.box.result(), self.box
        if box.running or source is None or result is None:
            return
        try:
            pair = ShownPair.of(source, box.letters(), result)  # the layers may have other pixels by now
        except (RestoreError, OSError) as error:
            self._tell(in_window(error), warning=True)
            return
        self._pair = pair
        self.follow_window()
        box.show_nothing()
        box.show_map.setChecked(False)
        self._found = None
        box.set_running(True)
        box.show_progress(BlocksDone(0, 0))
        self.works.start(_ASSESS, lambda stop: assess_pair(pair, result.name), self._advance, self._ended)

    def stop(self) -> None:
        """Stop the assessment; nothing of it is kept."""
        if self.works.stop(_ASSESS):
            self._tell("Stopping…")

    def _advance(self, event: BlocksDone | Found) -> None:
        if isinstance(event, Found):
            self._take(event)
        else:
            self.box.show_progress(event)

    def _take(self, found: Found) -> None:
        self._found, self._pair = found, found.pair
        self.box.show_found(found)
        self._list_maps()

    def _list_maps(self) -> None:
        if self._pair is not None:
            self.box.set_maps(self._found is not None, self._uncertainty, self._pair.channels())

    def _ended(self, error: BaseException | None) -> None:
        self.box.set_running(False)
        if error is not None:
            self._tell(in_window(error), warning=True)
        elif self._found is None:
            self._tell("Stopped; nothing was kept.")
        self._list()

    # ---------------------------------------------------------------------------------------------- looking

    def go_to(self, place: Place) -> None:
        """Move sliders and camera to a place, and the map to its channel."""
        if self._found is None:
            return
        source = self._found.pair.source
        if source not in self.viewer.layers:
            self._tell("The source is not in the layer list any more; open it again.", warning=True)
            return
        go_to(self.viewer, source, *self._found.position(place))
        self.box.choose_channel(place.channel)

    def _show_map(self) -> None:
        box, pair, found = self.box, self._pair, self._found
        if not box.show_map.isChecked() or pair is None:
            self.map.remove()
            return
        shown, channel, result = box.maps.currentData(), max(box.channels.currentIndex(), 0), box.result()
        name = "" if result is None else result.name
        assessment = None if found is None else found.assessment
        self.map.show(lambda: map_layer(pair, name, assessment, shown, channel))

    def _show_report(self) -> None:
        if self._found is not None:
            self._report = ReportWindow(f"Trust in {self._found.name}", self._found.assessment.page, main_window(self))
            self._report.show()

    def _tell(self, text: str, *, warning: bool = False) -> None:
        self.box.told.say(text, warning=warning)

    # ---------------------------------------------------------------------------------------------- opening and closing

    def _removed(self, event: object = None) -> None:
        self._turns.call(self._find_removed)  # a layer that is missing during a step may come back

    def _find_removed(self) -> None:
        self.map.layer_removed()
        self._list()

    def _renamed(self, event: object = None) -> None:
        self._turns.call(self._list)

    def follow(self) -> None:
        if not self._following:
            self._following = True
            events = self.viewer.layers.events
            events.inserted.connect(self._renamed)
            events.removed.connect(self._removed)
            events.renamed.connect(self._renamed)
            self.viewer.events.theme.connect(self._show_theme)
        self.follow_window()
        self._list()

    def leave(self) -> None:
        self.end()

    def end(self) -> None:
        self.open_now()
        self._turns.end()
        self.works.end()
        self.map.remove()
        self.box.set_running(False)
        self.leave_window()
        if self._following:
            self._following = False
            events = self.viewer.layers.events
            events.inserted.disconnect(self._renamed)
            events.removed.disconnect(self._removed)
            events.renamed.disconnect(self._renamed)
            self.viewer.events.theme.disconnect(self._show_theme)

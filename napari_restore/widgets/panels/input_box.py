"""The box that chooses layer, axes and region."""

from __future__ import annotations

__all__ = ["InputBox"]

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit
from superqt.utils import QSignalDebouncer, signals_blocked

from napari_restore.errors import AxesError, RestoreError
from napari_restore.images.axes import check_axes
from napari_restore.widgets.jobs.layers.image_layers import (
    Region,
    channel_names,
    describe_layer,
    full_resolution,
    is_helper,
    is_made_here,
    suggested_axes,
)
from napari_restore.widgets.jobs.regions import REGIONS, RegionName, describe_region, find_region
from napari_restore.widgets.jobs.viewport import Viewport
from napari_restore.widgets.panels.controls.box import Box
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.control import tip
from napari_restore.widgets.panels.controls.note import Note
from napari_restore.widgets.panels.layer_list import LayerList

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Shapes
    from napari.viewer import Viewer

SETTLED = 250
"""Milliseconds after the last change of camera, sliders or rectangles until the region is updated."""


class InputBox(Box):
    """Layer, axes and region. The box follows the viewer's selection, and its camera if the region depends on that.

    Layers are compared by ``==``, not by ``is``: napari gives a plugin a new proxy of a layer at each access.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer of the layers.
    several : bool
        Whether several layers can be chosen for one run.
    """

    changed, listed = Signal(), Signal()

    def __init__(self, viewer: Viewer, *, several: bool = True) -> None:
        super().__init__("Input")
        self.viewer, self._takes_several = viewer, several
        self.layers, self.axes, self.regions = Choice(), QLineEdit(), Choice()
        self.several = LayerList()
        self.description = Note("Shape, data type and size of the layer, and the type of its array")
        self.extent = Note("Pixels of the layer that are restored")
        for name, title in REGIONS.items():
            self.regions.addItem(title, name)
        self.add("Layer", self.layers, "Image layer to restore; follows the selection in the layer list")
        self.add_wide(self.description)
        self.add("Run on", self.several, self.several.button.toolTip())
        self.add("Axes", self.axes, tip("axes"))
        self.add("Region", self.regions, "Region of the layer that is restored")
        self.add_wide(self.extent)
        self._settling = QSignalDebouncer(parent=self)
        self._settling.setTimeout(SETTLED)
        self._settling.triggered.connect(self._update_region)
        self._followed: list[Any] = []
        self._region: Region | None = None
        self.layers.currentIndexChanged.connect(self._chosen)
        self.axes.textEdited.connect(self._describe)
        self.several.changed.connect(self.changed)
        self.regions.currentIndexChanged.connect(self._region_chosen)
        self.follow_viewer()

    def follow_viewer(self) -> None:
        """Connect to the viewer's layers, selection, camera and sliders."""
        if self._followed:
            return
        viewer = self.viewer
        camera, dims = viewer.scene.camera.events, viewer.dims.events
        self._followed = [
            *((emitter, self._fill) for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed)),
            (viewer.layers.events.renamed, self._rename),
            (viewer.layers.selection.events.active, self._follow),
            *((emitter, self._moved) for emitter in (camera.zoom, camera.center, viewer.canvas.events.size)),
            *((emitter, self._moved) for emitter in (dims.current_step, dims.order, dims.ndisplay)),
        ]
        for emitter, callback in self._followed:
            emitter.connect(callback)
        self._fill()
        self._follow()

    def leave_viewer(self) -> None:
        """Disconnect from the viewer, which may outlive this widget."""
        self._settling.cancel()
        for emitter, callback in self._followed:
            emitter.disconnect(callback)
        self._followed = []

    def layer(self) -> ImageLayer | None:
        """Return the chosen layer."""
        return self.layers.currentData()

    def choose(self, layer: ImageLayer | str) -> None:
        """Choose a layer, by itself or by name."""
        for index in range(self.layers.count()):
            if layer in (self.layers.itemData(index), self.layers.itemText(index)):
                self.layers.setCurrentIndex(index)
                return

    def letters(self) -> str:
        """Return the typed axes, in upper case."""
        return str(self.axes.text()).strip().upper()

    def axes_fit(self) -> bool:
        """Return whether there is a layer and the typed axes name each of its dimensions."""
        layer = self.layer()
        if layer is None:
            return False
        try:
            check_axes(self.letters(), full_resolution(layer).shape)
        except AxesError:
            return False
        return True

    def channels(self) -> tuple[str, ...]:
        """Return the names of the layer's channels; none if it has no axis C or the axes do not fit."""
        layer = self.layer()
        return () if layer is None else channel_names(layer, self.letters())

    def samples(self) -> int:
        """Return the number of colour samples of a pixel (axis S); 1 if there is no such axis or no layer."""
        layer, letters = self.layer(), self.letters()
        shape = () if layer is None else full_resolution(layer).shape
        return int(shape[letters.index("S")]) if "S" in letters and len(letters) == len(shape) else 1

    def run_layers(self) -> list[Any]:
        """Return the layers that a run restores: those that are ticked, or the only one.

        Raises
        ------
        RestoreError
            If none is ticked.
        """
        if self.several.isHidden():
            layer = self.layer()
            return [] if layer is None else [layer]
        ticked = self.several.ticked()
        if not ticked:
            raise RestoreError("no layer is ticked in the list Run on; tick those that a run restores.")
        return ticked

    def region(self, kind: RegionName | None = None, layer: ImageLayer | None = None) -> Region:
        """Return the chosen region, or that of another kind or layer.

        Raises
        ------
        RestoreError
            If there is no layer or no such region.
        """
        layer = self.layer() if layer is None else layer
        if layer is None:
            raise RestoreError("there is no image layer; open an image first.")
        describe_layer(layer, self.letters())  # checks the axes
        return find_region(
            kind or self.regions.currentData(), layer, self.letters(), Viewport.of(self.viewer), self._shapes()
        )

    def _shapes(self) -> Shapes | None:
        found: list[Any] = [layer for layer in self.viewer.layers if layer.__class__.__name__ == "Shapes"]
        active = self.viewer.layers.selection.active
        return next((layer for layer in found if layer == active), found[-1] if found else None)

    def _fill(self, event: object = None) -> None:
        images = [layer for layer in self.viewer.layers if layer.__class__.__name__ == "Image"]
        layers = [layer for layer in images if not is_helper(layer)]
        chosen = self.layer()
        with signals_blocked(self.layers):
            self.layers.clear()
            for layer in layers:
                self.layers.addItem(layer.name, layer)
            wanted = chosen if chosen in layers else self._first_choice(layers)
            self.layers.setCurrentIndex(-1 if wanted is None else layers.index(wanted))
        if self.layer() != chosen or chosen is None:
            self._chosen()
        self._list_several()
        for layer in self.viewer.layers:
            if layer.__class__.__name__ == "Shapes":
                for emitter in (layer.events.data, layer.events.highlight):
                    if (emitter, self._moved) not in self._followed:
                        emitter.connect(self._moved)
                        self._followed.append((emitter, self._moved))
        self._moved()
        self.listed.emit()

    def _list_several(self) -> None:
        """List the layers that the settings of the chosen one fit: sources with as many axes, and of the same kind."""
        chosen = self.layer()
        listed = [self.layers.itemData(index) for index in range(self.layers.count())]
        alike = [
            layer
            for layer in listed
            if chosen is not None
            and (layer == chosen or not is_made_here(layer))
            and (layer.ndim, layer.rgb) == (chosen.ndim, chosen.rgb)
        ]
        self.several.set_layers(alike, chosen)
        self.set_row_visible(self.several, self._takes_several and len(alike) > 1)

    def _first_choice(self, layers: list[Any]) -> Any:
        """Return the selected layer, or else the last one; a result only if there are no other layers."""
        sources = [layer for layer in layers if not is_made_here(layer)] or layers
        active = self.viewer.layers.selection.active
        return active if active in sources else sources[-1] if sources else None

    def _rename(self, event: object = None) -> None:
        for index in range(self.layers.count()):
            self.layers.setItemText(index, self.layers.itemData(index).name)
        self._list_several()
        self.listed.emit()

    def _follow(self, event: object = None) -> None:
        active = self.viewer.layers.selection.active
        # A selected result is not chosen: restoring it again has to be asked for in the list.
        if active is not None and not is_made_here(active):
            self.choose(active)
        self._moved()

    def _moved(self, event: object = None) -> None:
        """Update the region when the view has settled, if it depends on the view."""
        if self.regions.currentData() != "whole":
            self._settling.throttle()

    def _update_region(self) -> None:
        before = self._region
        if self._show_region() != before:
            self.changed.emit()

    def _region_chosen(self, index: int = 0) -> None:
        self._show_region()
        self.changed.emit()

    def _show_region(self) -> Region | None:
        """Show the first and last pixels of the region; nothing for the whole layer."""
        self._region = None
        text, wrong = "", False
        if self.regions.currentData() != "whole" and self.layer() is not None:
            try:
                self._region = self.region()
                text = describe_region(self._region, self.letters())
            except RestoreError as error:
                # The description shows an error of the axes.
                text, wrong = ("", False) if self.description.text().startswith("⚠") else (error.told("window"), True)
        self.extent.say(text, warning=wrong)
        return self._region

    def _chosen(self, index: int = 0) -> None:
        layer = self.layer()
        self.axes.setText("" if layer is None else suggested_axes(layer))
        self._list_several()
        self._describe()

    def _describe(self, text: str = "") -> None:
        layer = self.layer()
        if layer is None:
            self.description.say("Open an image, or File › Open Sample › napari-restore.")
        else:
            try:
                self.description.say(describe_layer(layer, self.letters()))
            except RestoreError as error:
                self.description.say(error.told("window"), warning=True)
        self._show_region()
        self.changed.emit()

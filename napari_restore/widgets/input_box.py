"""Which layer, what its axes are, and which part of it."""

from __future__ import annotations

__all__ = ["InputBox"]

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLineEdit

from napari_restore.errors import RestoreError
from napari_restore.widgets.regions import REGIONS, RegionName, find_region
from napari_restore.widgets.rows import Box, note
from napari_restore.widgets.source import Region, describe_layer, suggested_axes

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Shapes
    from napari.viewer import Viewer


class InputBox(Box):
    """Chooses layer, axes and region; follows the viewer's selection."""

    changed = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__("Input")
        self.viewer = viewer
        self.layers, self.axes, self.regions = QComboBox(), QLineEdit(), QComboBox()
        self.layers.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.description = note("Shape, data type and size of the layer")
        for name, title in REGIONS.items():
            self.regions.addItem(title, name)
        self.add("Layer", self.layers, "Image layer to restore; follows the selection in the layer list")
        self.rows.addRow(self.description)
        self.add("Axes", self.axes, "One letter per axis: T time, C channel, Z depth, Y rows, X columns, S colour")
        self.add("Region", self.regions, "Which part of the layer is restored")
        self._fill()
        viewer.layers.events.inserted.connect(self._fill)
        viewer.layers.events.removed.connect(self._fill)
        viewer.layers.selection.events.active.connect(self._follow)
        self.layers.currentIndexChanged.connect(self._chosen)
        self.axes.textEdited.connect(self._describe)
        self.regions.currentIndexChanged.connect(lambda index: self.changed.emit())
        self._follow()
        self._chosen()

    def disconnect_viewer(self) -> None:
        """Stop following the viewer, which may live longer than this widget."""
        self.viewer.layers.events.inserted.disconnect(self._fill)
        self.viewer.layers.events.removed.disconnect(self._fill)
        self.viewer.layers.selection.events.active.disconnect(self._follow)

    def layer(self) -> ImageLayer | None:
        """The layer that is chosen."""
        name = self.layers.currentText()
        return self.viewer.layers[name] if name and name in self.viewer.layers else None

    def choose(self, name: str) -> None:
        """Choose a layer by name."""
        self.layers.setCurrentText(name)

    def letters(self) -> str:
        """The axes as typed."""
        return str(self.axes.text()).strip().upper()

    def region(self, kind: RegionName | None = None) -> Region:
        """The region that is chosen, or of another kind.

        Raises
        ------
        RestoreError
            If there is none.
        """
        layer = self.layer()
        if layer is None:
            raise RestoreError("there is no image layer; open an image first.")
        describe_layer(layer, self.letters())  # checks the axes
        return find_region(
            kind or self.regions.currentData(), layer, self.letters(), self.viewer.dims.point, self._shapes()
        )

    def _shapes(self) -> Shapes | None:
        found: list[Any] = [layer for layer in self.viewer.layers if layer.__class__.__name__ == "Shapes"]
        active = self.viewer.layers.selection.active
        return next((layer for layer in found if layer is active), found[-1] if found else None)

    def _fill(self, event: object = None) -> None:
        names = [layer.name for layer in self.viewer.layers if layer.__class__.__name__ == "Image"]
        chosen = self.layers.currentText()
        self.layers.blockSignals(True)
        self.layers.clear()
        self.layers.addItems(names)
        self.layers.setCurrentText(chosen if chosen in names else (names[-1] if names else ""))
        self.layers.blockSignals(False)
        if self.layers.currentText() != chosen:
            self._chosen()

    def _follow(self, event: object = None) -> None:
        active = self.viewer.layers.selection.active
        # Results are looked at, not restored once more, unless they are chosen by hand.
        if active is not None and "napari_restore" not in active.metadata:
            self.choose(active.name)

    def _chosen(self, index: int = 0) -> None:
        layer = self.layer()
        self.axes.setText("" if layer is None else suggested_axes(layer))
        self._describe()

    def _describe(self, text: str = "") -> None:
        layer = self.layer()
        if layer is None:
            self.say(self.description, "Open an image, or File › Open Sample › napari-restore.")
        else:
            try:
                self.say(self.description, describe_layer(layer, self.letters()))
            except RestoreError as error:
                self.say(self.description, str(error), warning=True)
        self.changed.emit()

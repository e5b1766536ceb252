"""The list of layers that one run restores."""

from __future__ import annotations

__all__ = ["LayerList"]

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

_ROWS = 5
"""Most rows that are visible without scrolling."""


class LayerList(QWidget):
    """A list of layers, each with a check mark, behind a button that counts them: ``"2 of 3 channels"``.

    Layers are compared by ``==``, not by ``is``: napari gives a plugin a new proxy of a layer at each access.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._layers: list[Any] = []
        self.button, self.list = QPushButton(), QListWidget()
        self.button.setCheckable(True)
        self.button.setToolTip("Choose the layers that one run restores, one after another, with the same settings")
        self.list.setToolTip("Ticked layers are restored by one run, one after another, with the same settings")
        self.list.setAccessibleName("Layers of the run")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.button)
        column.addWidget(self.list)
        self.list.hide()
        self.button.toggled.connect(self.list.setVisible)
        self.list.itemChanged.connect(self._ticked)
        self.set_layers([], None)

    def set_layers(self, layers: Sequence[Any], chosen: Any) -> None:
        """List layers. Ticks stay, unless the chosen layer is not ticked: then it alone is.

        Parameters
        ----------
        layers : sequence of napari.layers.Image
            Layers that can be restored with the same settings.
        chosen : napari.layers.Image or None
            The layer of the preview; one of them.
        """
        ticked = [layer for layer in self.ticked() if layer in layers]
        if chosen not in ticked:
            ticked = [] if chosen is None else [chosen]
        self._layers = list(layers)
        with signals_blocked(self.list):
            self.list.clear()
            for layer in layers:
                item = QListWidgetItem(layer.name)
                item.setToolTip(layer.name)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(Qt.CheckState.Checked if layer in ticked else Qt.CheckState.Unchecked)
                self.list.addItem(item)
        rows = min(len(layers), _ROWS)
        height = rows * max(self.list.sizeHintForRow(0), 16) + 2 * self.list.frameWidth() + 2
        self.list.setFixedHeight(height)
        self._count()

    def ticked(self) -> list[Any]:
        """Return the ticked layers, in the order of the list."""
        items = (self.list.item(row) for row in range(self.list.count()))
        return [
            layer
            for layer, item in zip(self._layers, items, strict=True)
            if item is not None and item.checkState() == Qt.CheckState.Checked
        ]

    def open_for(self, others_than: Any) -> bool:
        """Open the list with all layers ticked except one, and return whether there are any others.

        Parameters
        ----------
        others_than : napari.layers.Image or None
            The layer that is not ticked.
        """
        if len(self._layers) < 2:
            return False
        with signals_blocked(self.list):
            for row, layer in enumerate(self._layers):
                item = self.list.item(row)
                if item is not None:
                    chosen = layer != others_than
                    item.setCheckState(Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked)
        self.button.setChecked(True)
        self.list.setFocus()
        self._ticked()
        return True

    def minimumSizeHint(self) -> QSize:
        """Return a small width: long names are elided."""
        return QSize(60, super().minimumSizeHint().height())

    def _ticked(self, item: object = None) -> None:
        self._count()
        self.changed.emit()

    def _count(self) -> None:
        paths = {layer.source.path for layer in self._layers}
        same_file = len(paths) == 1 and None not in paths
        self.button.setText(f"{len(self.ticked())} of {len(self._layers)} {'channels' if same_file else 'layers'}")

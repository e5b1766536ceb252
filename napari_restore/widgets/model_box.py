"""Which model, what it was trained on, and whether the layer's noise fits it."""

from __future__ import annotations

__all__ = ["ModelBox"]

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_restore import api
from napari_restore.engine.describe import human_bytes
from napari_restore.widgets.controller import Task, model_choices
from napari_restore.widgets.rows import Box, note

if TYPE_CHECKING:
    from napari_restore.engine.report import Report

_FILE = "Your file…"


class ModelBox(Box):
    """Chooses a model; takes a checkpoint that is dropped on it."""

    changed = Signal()

    def __init__(self, task: Task) -> None:
        super().__init__("Model")
        self.models = QComboBox()
        self.models.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.description = note("What the model was trained on")
        self.noise = note("Estimated from an even sample of the layer")
        for card in model_choices(task):
            self.models.addItem(card.name, card.name)
            text = f"{card.title}\n{card.paper}\n{card.licence}, {human_bytes(api.weights_size(card))}"
            self.models.setItemData(self.models.count() - 1, text, Qt.ItemDataRole.ToolTipRole)
        self.models.addItem(_FILE, None)
        self.add("Model", self.models, "Network and weights; drop a checkpoint of Restormer or SwinIR here")
        self.rows.addRow(self.description)
        self.rows.addRow(self.noise)
        self.setAcceptDrops(True)
        self.models.activated.connect(self._activated)
        self.models.currentIndexChanged.connect(self._describe)
        self._describe()

    def model(self) -> str | None:
        """Name or path of the model that is chosen."""
        return self.models.currentData()  # type: ignore[no-any-return]

    def choose(self, model: str) -> None:
        """Choose a model by name, or by the path of a checkpoint, which is added to the list."""
        index = self.models.findData(model)
        if index < 0:
            index = self.models.count() - 1
            self.models.insertItem(index, Path(model).name, model)
        self.models.setCurrentIndex(index)

    def show_report(self, report: Report | None) -> None:
        """Say what a checkpoint is, and compare the layer's noise with what the model expects."""
        if report is None:
            self.say(self.noise, "")
            return
        card = report.plan.card
        self.say(self.description, _words(card.task, card.scale, card.in_channels, card.noise, card.licence))
        estimate = next((noise for noise in report.noise if noise is not None), None)
        ranges = report.plan.recipe.value_range
        if estimate is None or not ranges:
            self.say(self.noise, "Noise: cannot be told from this image.")
            return
        low, high = ranges[0]
        share = estimate.sigma_median / (high - low)
        text = f"Noise here: σ {estimate.sigma_median:.3g} ({share:.1%} of the range)."
        correlation = max(estimate.correlation)
        if card.task == "denoise" and correlation > 0.2:
            self.say(
                self.noise,
                f"{text} It is correlated between neighbours ({correlation:.2f}); a model for independent noise may "
                "leave it in.",
                warning=True,
            )
        else:
            self.say(self.noise, text)

    def _activated(self, index: int) -> None:
        if self.models.itemData(index) is not None:
            return
        path, _ = QFileDialog.getOpenFileName(self, "Open a checkpoint", "", "Checkpoints (*.safetensors *.pth *.pt)")
        if path:
            self.choose(path)
        else:
            self.models.setCurrentIndex(0)

    def _describe(self, index: int = 0) -> None:
        name = self.model()
        card = next((card for card in api.models() if card.name == name), None)
        words = "" if card is None else _words(card.task, card.scale, card.in_channels, card.noise, card.licence)
        self.say(self.description, words)
        self.say(self.noise, "")
        self.changed.emit()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        self.choose(event.mimeData().urls()[0].toLocalFile())


def _words(task: str, scale: int, channels: int, noise: str, licence: str) -> str:
    colours = "gray, each channel on its own" if channels == 1 else f"{channels} colour samples"
    what = f"{task} ×{scale}" if scale > 1 else task
    return f"{what[0].upper()}{what[1:]}; {colours}. Trained for {noise}. {licence}."

"""The box that chooses a model and shows whether it fits the layer's noise."""

from __future__ import annotations

__all__ = ["ModelBox"]

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_restore import api
from napari_restore.widgets.jobs.job import Task
from napari_restore.widgets.jobs.models import DownloadProgress, describe, weights_summary
from napari_restore.widgets.panels.controls.box import Box
from napari_restore.widgets.panels.controls.control import Control, tip
from napari_restore.widgets.panels.controls.denoise_edit import DenoiseEdit
from napari_restore.widgets.panels.controls.model_list import ModelList
from napari_restore.widgets.panels.controls.note import Note
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.engine.compute.estimate import Report
    from napari_restore.models.card import ModelCard


class ModelBox(Box):
    """Model, its description and its download. A checkpoint can be dropped on the box.

    Parameters
    ----------
    task : str
        ``"denoise"`` or ``"super-resolve"``.
    """

    changed, fetch_wanted, fetch_cancelled = Signal(), Signal(), Signal()

    def __init__(self, task: Task) -> None:
        super().__init__("Model")
        self.models = ModelList(task)
        self.description = Note("Task, training noise and licence of the model")
        self.fetch = QPushButton()
        self.fetch.setToolTip("Download the weights now; otherwise a run or a preview does")
        self.fetch.hide()
        self.noise = Note("Noise of the layer, estimated from an even sample, as a fraction of the value range")
        self._chosen = ""
        self._fetching = False
        self.add("Model", self.models, "Network and weights; drop a checkpoint of Restormer or SwinIR here")
        self.add_wide(self.description)
        self.add_wide(self.fetch)
        self.add_wide(self.noise)
        self.denoise, self.controls = DenoiseEdit(), dict[str, Control]()
        if task == "super-resolve":
            self.add("Denoise first", self.denoise, tip("denoise"))
            self.controls["denoise"] = Control(self.denoise.value, self.denoise.show_value)
        self.setAcceptDrops(True)
        self.models.activated.connect(self._activated)
        self.models.currentIndexChanged.connect(self._describe)
        self.fetch.clicked.connect(self._fetch_clicked)
        self._describe()

    def model(self) -> str | None:
        """Return the name or path of the chosen model; None while a file is being chosen."""
        return self.models.chosen()

    def choose(self, model: str) -> None:
        """Choose a model by name, or by the path of a checkpoint, which is added to the list."""
        self.models.choose(model)

    def is_file(self) -> bool:
        """Return whether the chosen model is a file, whose card has to be read."""
        return self.model() is not None and self._listed_card() is None

    def show_card(self, card: ModelCard) -> None:
        """Describe a model, and show whether its weights are here."""
        here = weights_summary(card)
        self.description.say(f"{describe(card)} {here[0].upper()}{here[1:]}.")
        self.models.show_detail(self.models.currentIndex(), card)
        missing = api.weights_state(card).startswith("will")
        self.fetch.setText(f"Download {human_bytes(api.weights_size(card))}")
        self.fetch.setVisible(missing or self._fetching)

    def show_no_card(self, text: str) -> None:
        """Show why the file is not a model."""
        self.description.say(text, warning=True)
        self.fetch.hide()

    def show_fetched(self, event: DownloadProgress | None) -> None:
        """Show the progress of a download; None: it has ended."""
        self._fetching = event is not None
        if event is None:
            self.show_state()
            return
        total = "" if event.total is None else f" of {human_bytes(event.total)}"
        self.fetch.setText(f"{human_bytes(event.done)}{total} · Cancel")
        self.fetch.show()

    def show_state(self) -> None:
        """Show again whether the weights are here."""
        card = self._listed_card()
        if card is not None:
            self.show_card(card)

    def show_report(self, report: Report | None) -> None:
        """Show whether the layer's noise fits the model."""
        self.denoise.show_plan(report.plan if report is not None else None)
        if report is None:
            self.noise.say("")
            return
        if self.is_file():
            self.show_card(report.plan.card)
        self.noise.say(str(report.fit), warning=bool(report.fit.warnings))

    def _listed_card(self) -> ModelCard | None:
        name = self.model()
        return next((card for card in api.models() if card.name == name), None)

    def _fetch_clicked(self) -> None:
        (self.fetch_cancelled if self._fetching else self.fetch_wanted).emit()

    def _activated(self, index: int) -> None:
        if self.models.itemData(index) is not None:
            return
        path, _ = QFileDialog.getOpenFileName(self, "Open a checkpoint", "", "Checkpoints (*.safetensors *.pth *.pt)")
        self.choose(path or self._chosen)

    def _describe(self, index: int = 0) -> None:
        name = self.model()
        if name is None:
            return  # a file is being chosen
        self._chosen = name
        self.noise.say("")
        self.fetch.hide()
        self.description.say(f"Reading {Path(name).name}…" if self.is_file() else "")
        self.show_state()
        self.changed.emit()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if path := _dropped(event):
            event.acceptProposedAction()
            self.choose(path)


def _dropped(event: QDropEvent) -> str:
    """Return the path of the first dropped file; empty if there is none."""
    data = event.mimeData()
    return next((url.toLocalFile() for url in data.urls() if url.isLocalFile()), "") if data is not None else ""

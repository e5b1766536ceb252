"""The box that chooses and describes a model."""

from __future__ import annotations

__all__ = ["ModelBox"]

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QPushButton, QToolButton

from napari_restore import api
from napari_restore.engine.planning.recipe import settings
from napari_restore.errors import ModelError
from napari_restore.widgets.jobs.job import Task, check_task
from napari_restore.widgets.jobs.models.cards import DownloadProgress, default_model, describe, weights_summary
from napari_restore.widgets.jobs.models.samples import Sample, kept_sample
from napari_restore.widgets.panels.controls.box import Box
from napari_restore.widgets.panels.controls.control import Control
from napari_restore.widgets.panels.controls.made import make_control
from napari_restore.widgets.panels.controls.note import Note
from napari_restore.widgets.panels.models.model_card import ModelCardWindow
from napari_restore.widgets.panels.models.model_list import ModelList
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard
    from napari_restore.widgets.jobs.preflight import Preflight


_FILTER = "Checkpoints (*.safetensors *.pth *.pt *.ckpt *.bin)"


class ModelBox(Box):
    """Model, its description and its download. A checkpoint can be dropped on the box.

    A checkpoint stays in the list if its card can be read and the model is for the task. Otherwise the model before is
    chosen again, and a note says why. Until the user chooses a model, the box chooses the bundled one for the layer.

    Parameters
    ----------
    task : str
        ``"denoise"`` or ``"super-resolve"``.
    """

    changed, fetch_wanted, fetch_cancelled, sample_wanted = Signal(), Signal(), Signal(), Signal()

    def __init__(self, task: Task) -> None:
        super().__init__("Model")
        self.models, self.about = ModelList(task), QToolButton()
        self.about.setText("?")
        self.about.setToolTip("The card of the model: training, scores, licence, and a sample before and after it")
        self.about.setAccessibleName("Card of the model")
        self.window_of_card = ModelCardWindow(self)
        self._card: ModelCard | None = None
        self._reasons: dict[str, str] = {}
        self.description = Note("Task, training noise and licence of the model")
        self.fetch = QPushButton()
        self.fetch.setToolTip("Download the weights now; otherwise a run or a preview does")
        self.fetch.hide()
        self.notice = Note("Why a file was not taken, or which bundled model fits the layer better")
        self._task: Task = task
        self._chosen = self._suited = default_model(task)
        self._unread = ""
        self._own_choice = self._fetching = False
        tip = "Network and weights; the list opens with a search. Drop a checkpoint of Restormer or SwinIR here"
        self.add("Model", self.models, tip, self.about)
        self.add_wide(self.notice)
        self.add_wide(self.description)
        self.add_wide(self.fetch)
        self.denoise, self.denoiser = (
            make_control(settings()["denoise"]),
            Note("The denoiser that the noise of the layer asks for"),
        )
        self.controls: dict[str, Control] = {}
        if task == "super-resolve":
            self.denoise.add([card.name for card in api.models() if card.task == "denoise" and not card.sigma])
            self.add_made(self.denoise)
            self.add_wide(self.denoiser)
            self.controls["denoise"] = Control(self.denoise.value, self.denoise.show)
            self.denoise.when_changed(self.changed.emit)
        self.setAcceptDrops(True)
        self.models.activated.connect(self._activated)
        self.models.currentIndexChanged.connect(self._describe)
        self.fetch.clicked.connect(self._fetch_clicked)
        self.about.clicked.connect(self._show_about)
        self.window_of_card.sample_wanted.connect(self.sample_wanted)
        self._describe()

    def model(self) -> str | None:
        """Return the name or path of the chosen model; None while a file is being chosen."""
        return self.models.chosen()

    def choose(self, model: str) -> None:
        """Choose a model by name, or by the path of a checkpoint, which is added to the list."""
        self._own_choice = True
        self.models.choose(model)

    @property
    def is_own_choice(self) -> bool:
        """Whether the user, a recipe or a preset has chosen the model, and not the box for the layer."""
        return self._own_choice

    @property
    def suited(self) -> str:
        """Name of the bundled model for the layer."""
        return self._suited

    def choose_suited(self) -> None:
        """Choose the bundled model for the layer, and let it change with the layer again."""
        self._own_choice = False
        self.models.choose(self._suited)

    def suit_layer(self, samples: int) -> None:
        """Choose the bundled model for a layer with this number of colour samples, unless the user has chosen one."""
        before, self._suited = self._suited, default_model(self._task, samples)
        if before == self._suited:
            return
        if not self._own_choice and self.model() == before:
            self.models.choose(self._suited)
        elif self.model() != self._suited:
            self.notice.say(f"For this layer, {self._suited} is bundled; {Path(self._chosen).name} is still chosen.")

    def is_file(self) -> bool:
        """Return whether the chosen model is a file, whose card has to be read."""
        return self.model() is not None and self._listed_card() is None

    def show_card(self, card: ModelCard) -> None:
        """Describe a model, and show whether its weights are here. A model for another task is not taken."""
        try:
            check_task(card, self._task)
        except ModelError as error:
            self.refuse(error.told("window"))
            return
        self._chosen, self._unread = self.model() or self._chosen, ""
        self._card = card
        self.description.say(f"{describe(card)} {_sentence(weights_summary(card))}")
        self.models.show_detail(self.models.currentIndex(), card)
        missing = api.weights_state(card).startswith("will")
        self.fetch.setText(f"Download {human_bytes(api.weights_size(card))}")
        self.fetch.setVisible(missing or self._fetching)

    def refuse(self, reason: str) -> None:
        """Remove the chosen file from the list, choose the model before, and show why."""
        refused = self._unread or self.model()
        self._unread = ""
        if refused == self._chosen:  # a file that could be read before
            self._chosen = self._suited
        self.models.choose(self._chosen)
        if refused is not None:
            self.models.remove(refused)
        self.notice.say(f"{reason} The model is {Path(self._chosen).name}, as before.", warning=True)

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

    def show_preflight(self, found: Preflight) -> None:
        """Show the card of a file, the denoiser that the plan has chosen, and the models for the layer first."""
        if self.denoise.value() == "auto":
            self.denoise.show_planned(found.plan.recipe.denoise)
        self.denoiser.say(_sentence(found.plan.why.get("denoise", "")))
        if self.is_file():
            self.show_card(found.plan.card)
        self._reasons = {advised.card.name: advised.reason for advised in found.recommended}
        self.models.recommend(found.recommended)

    def shown_card(self) -> ModelCard | None:
        """Return the card of the chosen model; None while a file is read or chosen."""
        return self._card

    def show_sample(self, sample: Sample | None, error: str = "") -> None:
        """Show the sample of the model in the window of its card; None: it is being made, or there is an error."""
        if sample is None and not error:
            self.window_of_card.show_busy()
        else:
            self.window_of_card.show_sample(sample, error)

    def _show_about(self) -> None:
        card = self._card
        if card is not None:
            here = not api.weights_state(card).startswith("will")
            self.window_of_card.show_card(card, self._reasons.get(card.name, ""), kept_sample(card), here=here)

    def _listed_card(self) -> ModelCard | None:
        name = self.model()
        return next((card for card in api.models() if card.name == name), None)

    def _fetch_clicked(self) -> None:
        (self.fetch_cancelled if self._fetching else self.fetch_wanted).emit()

    def _activated(self, index: int) -> None:
        if self.models.itemData(index) is not None:
            self._own_choice = True
            return
        path, _ = QFileDialog.getOpenFileName(self, "Open a checkpoint", "", _FILTER)
        if path:
            self.choose(path)
        else:
            self.models.choose(self._chosen)

    def _describe(self, index: int = 0) -> None:
        name = self.model()
        self._card = None
        if name is None:
            return  # a file is being chosen
        if self._unread not in ("", name):
            self.models.remove(self._unread)
        self._unread = name if self.is_file() and name != self._chosen else ""
        self.notice.say("")
        self.fetch.hide()
        self.description.say(f"Reading {Path(name).name}…" if self.is_file() else "")
        self.show_state()
        self.changed.emit()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = _dropped(event)
        if not paths:
            return
        event.acceptProposedAction()
        if len(paths) == 1:
            self.choose(paths[0])
        else:
            self.notice.say(f"{len(paths)} files were dropped, and a run uses one model; drop one file.", warning=True)


def _sentence(words: str) -> str:
    """Return words as a sentence; without any words, nothing."""
    return f"{words[0].upper()}{words[1:]}." if words else ""


def _dropped(event: QDropEvent) -> list[str]:
    """Return the paths of the dropped files."""
    data = event.mimeData()
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()] if data is not None else []

"""The controls of an adaptation: method, budget and file, its progress, and what became of it."""

from __future__ import annotations

__all__ = ["AdaptBox"]

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFileDialog, QLineEdit, QProgressBar, QPushButton, QSizePolicy
from superqt.utils import signals_blocked

from napari_restore.engine.planning.recipe import settings
from napari_restore.widgets.jobs.adaptation.adapting import METHODS, losses_in_words, progress_in_words, resumes
from napari_restore.widgets.panels.controls.box import Box, side_by_side, wrapped
from napari_restore.widgets.panels.controls.choice import Choice
from napari_restore.widgets.panels.controls.made import make_control
from napari_restore.widgets.panels.controls.note import Note
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image as ImageLayer

    from napari_restore.adapting.outcome import Adapted, AdaptProgress

AdaptState = Literal["idle", "running", "paused", "finishing"]
_MOST_MINUTES = 24 * 60


class AdaptBox(Box):
    """Method, budget, memory and file of an adaptation; the button that starts and ends it; progress and outcome."""

    start_wanted, finish_wanted, pause_wanted, use_wanted = Signal(), Signal(), Signal(), Signal()
    view_wanted = Signal(bool)

    def __init__(self) -> None:
        super().__init__("Adapt")
        self.state: AdaptState = "idle"
        self._suggestion = ""
        self.clean, self.method, self.minutes = Choice(), Choice(), QDoubleSpinBox()
        for name, title in METHODS.items():
            self.method.addItem(title, name)
        self.minutes.setRange(0, _MOST_MINUTES)
        self.minutes.setDecimals(1)
        self.minutes.setSpecialValueText("auto")
        self.minutes.setSuffix(" min")
        self.minutes.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.path, self.browse, self.overwrite = QLineEdit(), QPushButton("…"), QCheckBox("Replace")
        self.path.setPlaceholderText("mine.safetensors")
        self.browse.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.add("Clean", self.clean, "Layer with clean images of the same fields, if there is one: the targets then")
        self.add("Method", self.method, "How to learn from noisy images alone; auto chooses by the measured noise")
        self.add("Budget", self.minutes, "Minutes of training; auto: 5 on a CPU, 1 on a GPU")
        self.made = {name: make_control(settings()[name]) for name in ("device", "memory_budget")}
        for made in self.made.values():
            self.add_made(made)
        file = "File of the adapted weights; an interrupted adaptation to it is resumed"
        self.add("File", side_by_side(self.path, self.browse), file)
        self.path.setAccessibleName("File of the adapted weights")
        self.path.setToolTip(file)
        self.browse.setAccessibleName("Choose the file")
        self.browse.setToolTip("Choose a folder and name")
        self.overwrite.setToolTip("Replace an existing file, and forget an interrupted adaptation; for one start only")
        self.start, self.pause, self.use = QPushButton("Adapt"), QPushButton("Pause"), QPushButton("Use in Denoise")
        self.view = QCheckBox("Show what is reached")
        self.view.setChecked(True)
        self.view.setToolTip("Restore the middle of the view every few seconds with the weights that are reached")
        self.use.setToolTip("Open Denoise with the adapted weights, for this layer")
        self.add_wide(wrapped(self.overwrite))
        self.add_wide(wrapped(self.view))
        self.add_wide(side_by_side(self.start, self.pause))
        self.bar, self.line = QProgressBar(), Note("Steps, and time that is left")
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setToolTip("Steps of the training")
        self.losses = Note("Mean error of what hidden or added noise does not touch, in variances of the noise")
        self.chosen = Note("How it learns from noisy images, and why")
        self.outcome = Note("What became of it")
        font = self.outcome.font()
        font.setBold(True)
        self.outcome.setFont(font)
        for part in (self.bar, self.line, self.losses, self.chosen, self.outcome, self.use):
            self.add_wide(part)
        self.start.clicked.connect(self._start_clicked)
        self.pause.clicked.connect(self.pause_wanted)
        self.view.toggled.connect(self.view_wanted)
        self.use.clicked.connect(self.use_wanted)
        self.browse.clicked.connect(self._browse)
        self.path.textChanged.connect(self._path_changed)
        self.use.hide()
        self.set_state("idle")

    # ---------------------------------------------------------------------------------------------- choices

    def budget(self) -> float | None:
        """Return the minutes of training; None: the default."""
        return float(self.minutes.value()) or None

    def output(self) -> str:
        """Return the file; a relative path counts from the current folder."""
        text = self.path.text().strip()
        return str(Path(text).expanduser().absolute()) if text else ""

    def settings(self) -> dict[str, Any]:
        """Return the settings of the plan that are chosen here."""
        values = {name: made.value() for name, made in self.made.items()}
        return {name: value for name, value in values.items() if value not in (None, settings()[name].default)}

    def offer_clean(self, layers: Sequence[ImageLayer]) -> None:
        """List the layers that may be clean images; what is chosen stays."""
        chosen = self.clean.currentData()
        with signals_blocked(self.clean):
            self.clean.clear()
            self.clean.addItem("none", None)
            for layer in layers:
                self.clean.addItem(layer.name, layer)
            self.clean.setCurrentIndex(1 + list(layers).index(chosen) if chosen in layers else 0)

    def suggest(self, path: str) -> None:
        """Fill in a file, unless the user has typed one."""
        if self.path.text() in ("", self._suggestion):
            self.path.setText(path)
        self._suggestion = path

    # ---------------------------------------------------------------------------------------------- what is shown

    def set_state(self, state: AdaptState) -> None:
        """Show what is in progress, and enable what can be clicked."""
        self.state = state
        idle = state == "idle"
        made = (each.native for each in self.made.values())
        for part in (self.clean, self.method, self.minutes, self.path, self.browse, self.overwrite, *made):
            part.setEnabled(idle)
        resting = "Resume" if resumes(self.output()) and not self.overwrite.isChecked() else "Adapt"
        self.start.setText({"running": "Stop", "paused": "Stop", "finishing": "Stopping…"}.get(state, resting))
        self.start.setEnabled(state != "finishing")
        self.start.setToolTip(
            "End the training now; what was reached is judged, and kept if it has helped (Esc)"
            if state in ("running", "paused")
            else "Train on crops of the layer; the weights are kept only if they help on crops set aside (Ctrl+Enter)"
        )
        self.pause.setVisible(state in ("running", "paused"))
        self.pause.setText("Go on" if state == "paused" else "Pause")
        self.pause.setToolTip(
            "Go on with the training" if state == "paused" else "Wait after this step; a pause is no part of the budget"
        )
        self.bar.setVisible(not idle)

    def show_nothing(self) -> None:
        """Forget progress and outcome of an earlier adaptation."""
        for note in (self.line, self.losses, self.chosen, self.outcome):
            note.say("")
        self.use.hide()

    def show_progress(self, event: AdaptProgress | None) -> None:
        """Show the progress; None: the noise is being measured."""
        if event is None:
            self.bar.setRange(0, 0)
            self.line.say("Measuring the noise, and choosing the method…")
            return
        self.bar.setRange(0, event.total)
        self.bar.setValue(event.done)
        self.line.say(progress_in_words(event, paused=self.state == "paused"))
        self.losses.say(losses_in_words(event))
        self.chosen.say(f"{event.method}: {event.why}. It takes up to {human_bytes(event.memory_bytes)} of memory.")

    def show_outcome(self, found: Adapted) -> None:
        """Show what became of it, and offer the weights if there are any."""
        self.line.say("")
        self.outcome.say(found.reason)
        self.use.setVisible(found.output is not None)

    def tell(self, text: str, *, warning: bool = False) -> None:
        """Show one line."""
        self.line.say(text, warning=warning)

    def _start_clicked(self) -> None:
        (self.start_wanted if self.state == "idle" else self.finish_wanted).emit()

    def _path_changed(self) -> None:
        with signals_blocked(self.overwrite):
            self.overwrite.setChecked(False)
        if self.state == "idle":
            self.set_state("idle")

    def _browse(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "File of the weights", self.path.text(), "Weights (*.safetensors)")
        if path:
            self.path.setText(path if path.endswith(".safetensors") else f"{path}.safetensors")

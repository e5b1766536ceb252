"""The boxes in which a job is described: input, model, values and output, performance."""

from __future__ import annotations

__all__ = ["Form"]

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs.job import Choices, Job, Task
from napari_restore.widgets.panels.input_box import InputBox
from napari_restore.widgets.panels.model_box import ModelBox
from napari_restore.widgets.panels.note import Note
from napari_restore.widgets.panels.output_box import OutputBox
from napari_restore.widgets.panels.performance_box import PerformanceBox
from napari_restore.widgets.preferences import Preferences, follow_preferences, preferences, use_cache_folder

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.widgets.jobs.preflight import Preflight

_WITHOUT_CONTROL = ("img_range", "mean", "blend", "padding", "ome_version", "on_error", "fsync")
"""Settings that come with a recipe and are kept until they are dropped, or another model is chosen."""


class Form(QWidget):
    """Everything a person chooses before a run; it begins with what the preferences say."""

    changed = Signal()

    def __init__(self, viewer: Viewer, task: Task) -> None:
        super().__init__()
        use_cache_folder()
        self.input, self.model, self.output = InputBox(viewer), ModelBox(task), OutputBox()
        self.performance = PerformanceBox()
        self._carried: dict[str, Any] = {}
        self._carried_line, self.drop = Note(), QToolButton()
        self._carried_line.setToolTip("Settings without a control of their own")
        self.drop.setText("Drop")
        self.drop.setToolTip("Use the usual settings instead of those of the recipe")
        self.carried_row = QWidget()
        row = QHBoxLayout(self.carried_row)
        row.setContentsMargins(8, 0, 0, 0)
        row.addWidget(self._carried_line, 1)
        row.addWidget(self.drop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for box in (self.input, self.model, self.output, self.performance, self.carried_row):
            column.addWidget(box)
        self._carry({})
        self._preferences = Preferences()
        self._unfollow: Any = None
        self.take_preferences()
        self.follow()
        self._changed()
        for box in (self.input, self.model, self.output, self.performance):
            box.changed.connect(self._changed)
        self.model.changed.connect(lambda: self._carry({}))
        self.drop.clicked.connect(self._drop)

    def choices(self) -> Choices:
        """What is chosen now.

        Raises
        ------
        RestoreError
            If something that is typed is wrong.
        """
        model = self.model.model()
        if model is None:
            raise RestoreError("no model is chosen; choose one, or drop a checkpoint on the list.")
        performance, (intensity, noise) = self.performance, self.output.intensity.value()
        chosen: dict[str, Any] = {
            "intensity": intensity,
            "noise": noise[0] if noise and len(noise) == 1 else noise,
            "value_range": self.output.range.value(),
            "dtype": self.output.dtype.currentText(),
            "pyramid": self.output.pyramid.isChecked(),
            "device": performance.device.currentData(),
            "precision": performance.precision.currentData(),
            "tile": performance.tile.value() or None,
            "halo": None if performance.halo.value() < 0 else performance.halo.value(),
            "memory_budget": performance.memory_budget(),
            "output": self.output.output(),
            "overwrite": self.output.overwrite.isChecked(),
        }
        return Choices(model, **{**chosen, **self._carried})

    def job(self) -> Job:
        """The job that is described now.

        Raises
        ------
        RestoreError
            If the choices do not make one.
        """
        region = self.input.region()
        layer = self.input.layer()
        assert layer is not None
        return Job.of(layer, self.input.letters(), region, self.choices())

    def show_choices(self, choices: Choices) -> None:
        """Set every control to choices."""
        self.model.choose(choices.model)
        output, performance = self.output, self.performance
        output.range.set_value(choices.value_range)
        output.intensity.set_value(choices.intensity, _cameras(choices.noise))
        if output.dtype.findText(choices.dtype) < 0:
            output.dtype.addItem(choices.dtype)
        output.dtype.setCurrentText(choices.dtype)
        output.place.setCurrentIndex(0 if choices.output is None else 1)
        output.path.setText(choices.output or "")
        output.pyramid.setChecked(choices.pyramid)
        output.overwrite.setChecked(choices.overwrite)
        performance.choose_device(choices.device)
        performance.precision.setCurrentIndex(performance.precision.findData(choices.precision))
        square = None if isinstance(choices.tile, tuple) else choices.tile
        performance.tile.setValue(square or 0)
        performance.halo.setValue(-1 if choices.halo is None else choices.halo)
        performance.choose_memory_budget(choices.memory_budget)
        usual = {field.name: field.default for field in fields(Choices)}
        carried = {name: getattr(choices, name) for name in _WITHOUT_CONTROL}
        carried = {name: value for name, value in carried.items() if value != usual[name]}
        self._carry(carried | ({"tile": choices.tile} if isinstance(choices.tile, tuple) else {}))
        self.changed.emit()

    def show_preflight(self, found: Preflight) -> None:
        """Show what was found out before a run."""
        self.model.show_report(found.report)
        self.output.show_preflight(found)
        self.performance.show_preflight(found)

    def take_preferences(self) -> None:
        """Take what has changed in the preferences since they were last taken."""
        before, now = self._preferences, preferences()
        use_cache_folder()
        if now.device != before.device:
            self.performance.choose_device(now.device)
        if now.memory_budget != before.memory_budget:
            self.performance.choose_memory_budget(round(now.memory_budget * 1e9) or None)
        if now.cache_folder != before.cache_folder:
            self.model.show_state()
        self._preferences = now
        self._suggest_output()

    def follow(self) -> None:
        """Follow the viewer and the preferences; doing so twice is harmless."""
        self.input.follow_viewer()
        if self._unfollow is None:
            self._unfollow = follow_preferences(self.take_preferences)

    def leave(self) -> None:
        """Follow neither any more."""
        self.input.leave_viewer()
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None

    def _changed(self) -> None:
        self.output.range.set_channels(self.input.channels())
        self._suggest_output()
        self.changed.emit()

    def _suggest_output(self) -> None:
        layer, model = self.input.layer(), self.model.models.currentText()
        stem = f"{layer.name}-{model}" if layer is not None else "result"
        self.output.suggest(self._preferences.output_folder.strip(), stem)

    def _drop(self) -> None:
        self._carry({})
        self.changed.emit()

    def _carry(self, settings: dict[str, Any]) -> None:
        self._carried = settings
        words = ", ".join(f"{name} {value}" for name, value in settings.items())
        self._carried_line.say(f"Also from the recipe: {words}")
        self.carried_row.setVisible(bool(settings))


def _cameras(noise: Any) -> tuple[tuple[float, float, float], ...] | None:
    """One camera for all channels, or one for each, as a tuple of them."""
    return noise if noise is None or isinstance(noise[0], tuple) else (noise,)

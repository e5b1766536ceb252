"""The form of a dock widget: input, model, values and output, performance."""

from __future__ import annotations

__all__ = ["Form"]

import os
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_restore.engine.planning.recipe import EXECUTION_FIELDS, SOURCE_FIELDS, Recipe, make_recipe, settings
from napari_restore.errors import RestoreError
from napari_restore.images.store import is_url
from napari_restore.widgets.jobs.job import Choices, Job, Task, in_words
from napari_restore.widgets.jobs.layers.layer_files import file_stem
from napari_restore.widgets.panels.controls.note import Note
from napari_restore.widgets.panels.input_box import InputBox
from napari_restore.widgets.panels.model_box import ModelBox
from napari_restore.widgets.panels.note_row import NoteRow
from napari_restore.widgets.panels.output_box import OutputBox
from napari_restore.widgets.panels.performance_box import PerformanceBox
from napari_restore.widgets.panels.settings_fold import SettingsFold
from napari_restore.widgets.preferences import Preferences, follow_preferences, preferences, use_cache_folder

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.widgets.jobs.preflight import Preflight


class Form(QWidget):
    """All choices of a run, initialised from the preferences.

    A recipe may have settings without a control, or values that a control cannot show. The form keeps them and shows
    them in a line of their own. *Drop* removes them; choosing another model removes those of the network.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer of the layers.
    task : str
        ``"denoise"`` or ``"super-resolve"``.
    """

    changed = Signal()

    def __init__(self, viewer: Viewer, task: Task) -> None:
        super().__init__()
        use_cache_folder()
        self._task: Task = task
        self.input, self.model, self.output = InputBox(viewer), ModelBox(task), OutputBox(task)
        self.performance = PerformanceBox()
        self.missing = SettingsFold("Missing pixels", "Values that are no image, and what to do with damaged parts")
        self.storage = SettingsFold("Storage", "How an OME-Zarr is stored: chunks, shards and version")
        self._folds = (self.performance, self.missing, self.storage)
        parts = (self.model, self.output, *self._folds)
        self.controls = {name: control for part in parts for name, control in part.controls.items()}
        self._carried: dict[str, Any] = {}
        self.carried_row = NoteRow(
            "Settings without a control, or with a value that their control cannot show",
            "Drop",
            "Use the defaults instead of these settings of the recipe",
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.boxes = (self.input, self.model, self.output, *self._folds)
        for box in (*self.boxes, self.carried_row):
            column.addWidget(box)
        self._carry({})
        self._preferences = Preferences()
        self._unfollow: Any = None
        self.take_preferences()
        self.follow()
        self._changed()
        for box in self.boxes:
            box.changed.connect(self._changed)
        self.model.changed.connect(self._model_changed)
        self.carried_row.button.clicked.connect(self._drop)

    def choices(self) -> Choices:
        """Return the current choices.

        Raises
        ------
        RestoreError
            If no model is chosen, or typed text is wrong.
        """
        model = self.model.model()
        if model is None:
            raise RestoreError("no model is chosen; choose one, or drop a checkpoint on the list.")
        output = self.output.output()
        chosen = {name: control.value() for name, control in self.controls.items()}
        usual = settings()
        changed = {name: value for name, value in chosen.items() if value not in (None, usual[name].default)}
        # Values of controls are set even if they are defaults: an interrupted run at the output must not choose others.
        explicit = chosen.keys() - EXECUTION_FIELDS if output is not None else set()
        shown = {name: chosen[name] for name in explicit if chosen[name] is not None}
        given = {**shown, **self._carried, **changed}
        return Choices.of(model, output=output, overwrite=self.output.overwrite.isChecked(), **given)

    def job(self) -> Job:
        """Return the job of the current choices.

        Raises
        ------
        RestoreError
            If the choices make no job.
        """
        region = self.input.region()
        layer = self.input.layer()
        assert layer is not None
        return Job.of(layer, self.input.letters(), region, self.choices(), self._task)

    def jobs(self) -> list[Job]:
        """Return the jobs of a run: one for each layer that is ticked, with the same choices.

        Raises
        ------
        RestoreError
            If no layer is ticked, the choices make no job, or two results would have the same name.
        """
        chosen, layers = self.input.layer(), self.input.run_layers()
        if layers == [chosen] or chosen is None:
            return [self.job()]
        choices, axes = self.choices(), self.input.letters()
        outputs = [choices.output if layer == chosen else self._output_of(layer, choices.output) for layer in layers]
        if choices.output is not None and len(set(outputs)) < len(outputs):
            raise RestoreError("two of the layers would be written to the same OME-Zarr; rename one of the layers.")
        return [
            Job.of(layer, axes, self.input.region(layer=layer), replace(choices, output=output), self._task)
            for layer, output in zip(layers, outputs, strict=True)
        ]

    def _output_of(self, layer: Any, output: str | None) -> str | None:
        """Return the output of another layer: that of the chosen one with the name of the layer."""
        chosen = self.input.layer()
        if output is None or chosen is None:
            return None
        folder, name = output.rpartition("/")[0::2] if is_url(output) else os.path.split(output)
        stem, ending = os.path.splitext(name)
        own, other = file_stem(chosen.name), file_stem(layer.name)
        named = stem.replace(own, other, 1) if own in stem else f"{stem}-{other}"
        return f"{folder}/{named}{ending}" if is_url(output) else os.path.join(folder, named + ending)

    def show_choices(self, choices: Choices) -> None:
        """Set all controls to choices, and keep the settings that no control shows."""
        self._show_recipe(choices.recipe, frozenset())
        self.output.place.setCurrentIndex(0 if choices.output is None else 1)
        self.output.path.setText(choices.output or "")
        self.output.overwrite.setChecked(choices.overwrite)
        self.changed.emit()

    def show_recipe(self, recipe: Recipe, keep: Set[str] = frozenset()) -> None:
        """Set the controls to a recipe, and keep the settings that no control shows. The output stays.

        Parameters
        ----------
        recipe : Recipe
            The recipe.
        keep : set of str
            Settings whose controls stay if the recipe does not set them.
        """
        self._show_recipe(recipe, keep)
        self.changed.emit()

    def show_defaults(self) -> None:
        """Set all controls to their defaults, with the bundled model for the layer. The output stays."""
        self._show_recipe(make_recipe(model=self.model.suited), frozenset())
        self.model.choose_suited()  # it changes with the layer again
        self._preferences = Preferences()
        self.take_preferences()
        self.changed.emit()

    def _show_recipe(self, recipe: Recipe, keep: Set[str]) -> None:
        self.model.choose(recipe.model)
        given = recipe.model_dump(exclude={"model"}, exclude_unset=True, exclude_none=True)
        layer = self.input.layer()
        self.output.range.set_source(None if layer is None else layer.unique_id)
        # Values for each channel can be shown only if their number is that of this layer's channels.
        self.output.range.set_channels(self.input.channels())
        usual, carried = settings(), dict(given)
        for name, control in self.controls.items():
            if name in keep and name not in given:
                continue
            if control.show_exactly(getattr(recipe, name) if name in given else usual[name].default):
                carried.pop(name, None)
        self._carry(carried)

    def take_settings(self, advised: Mapping[str, Any]) -> None:
        """Set the controls of some settings, as advice names them; a model counts as chosen by the user."""
        if "model" in advised:
            self.model.choose(advised["model"])
        for name, value in advised.items():
            if name in self.controls:
                self.controls[name].show(value)
        self.changed.emit()

    def show_preflight(self, found: Preflight) -> None:
        """Show a preflight."""
        self.model.show_preflight(found)
        self.output.show_preflight(found)
        self.performance.show_preflight(found)
        for fold in (self.missing, self.storage):
            fold.show_planned(dict(found.plan.recipe))

    def warning_note(self, text: str) -> Note | None:
        """Return the note that shows this warning, if there is one."""
        notes = (self.input.description, self.input.extent, self.model.notice, self.output.cost)
        return next((note for note in notes if note.text() == f"⚠ {text}"), None)

    def take_preferences(self) -> None:
        """Apply preferences that have changed since the last call."""
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
        """Connect to the viewer and the preferences, unless connected already."""
        self.input.follow_viewer()
        if self._unfollow is None:
            self._unfollow = follow_preferences(self.take_preferences)

    def leave(self) -> None:
        """Disconnect from the viewer and the preferences."""
        self.input.leave_viewer()
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None

    def _changed(self) -> None:
        self.model.suit_layer(self.input.samples())
        layer = self.input.layer()
        self.output.range.set_source(None if layer is None else layer.unique_id)
        self.output.range.set_channels(self.input.channels())
        # A value that is chosen by a control replaces that of the recipe.
        self._carry({name: value for name, value in self._carried.items() if not self._is_chosen(name)})
        self._suggest_output()
        self.changed.emit()

    def _suggest_output(self) -> None:
        layer, model = self.input.layer(), self.model.models.currentText()
        stem = f"{layer.name}-{model}" if layer is not None else "result"
        self.output.suggest(self._preferences.output_folder.strip(), stem)

    def _is_chosen(self, name: str) -> bool:
        with suppress(RestoreError):  # the text is not complete yet
            return name in self.controls and self.controls[name].value() not in (None, settings()[name].default)
        return True

    def _model_changed(self) -> None:
        groups = {name: setting.group for name, setting in settings().items()}
        self._carry({name: value for name, value in self._carried.items() if groups[name] != "network"})

    def _drop(self) -> None:
        self._carry({})
        self.changed.emit()

    def _carry(self, kept: dict[str, Any]) -> None:
        self._carried = kept
        self._show_carried()

    def _show_carried(self) -> None:
        """Show settings of the recipe without a control, and those that are about the recipe's own source."""
        usual = settings()
        told = {name: value for name, value in self._carried.items() if value != usual[name].default}
        if told.get("axes") == self.input.letters():
            told.pop("axes")
        used = {name: value for name, value in told.items() if name not in SOURCE_FIELDS}
        other = {name: value for name, value in told.items() if name in SOURCE_FIELDS}
        words = [f"Also set by the recipe: {in_words(used)}." if used else ""]
        words += [f"Of its own source, and not of this layer: {in_words(other)}." if other else ""]
        self.carried_row.say(" ".join(filter(None, words)))

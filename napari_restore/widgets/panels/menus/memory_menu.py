"""What a dock widget remembers: the settings of the last run, and presets in the menu beside *Run*."""

from __future__ import annotations

__all__ = ["MemoryMenu"]

from contextlib import suppress
from functools import partial
from pathlib import Path

from qtpy.QtWidgets import QInputDialog, QMenu, QWidget

from napari_restore.errors import OutputError, RestoreError
from napari_restore.widgets.jobs.job import Choices, Task, in_words
from napari_restore.widgets.jobs.memory import presets
from napari_restore.widgets.jobs.memory.last_settings import OF_THE_MACHINE, layer_kind, recall, remember
from napari_restore.widgets.panels.form import Form
from napari_restore.widgets.panels.menus.guarded import Tell, guarded
from napari_restore.widgets.panels.note_row import NoteRow
from napari_restore.widgets.preferences import memory_folder


class MemoryMenu:
    """The settings of the last run and the presets of a dock widget.

    When a layer of another kind is chosen and no setting has been changed, the settings of the last run for such layers
    are shown, with a line that names them and a button for the defaults.

    Parameters
    ----------
    form : Form
        The form that gives and takes choices.
    task : str
        ``"denoise"`` or ``"super-resolve"``.
    menu : QMenu
        The menu; *Presets* and *Restore defaults* are added to it.
    tell : callable
        Shows a line of text: see `RunBar.tell`.
    parent : QWidget
        Parent of the dialogs.
    """

    def __init__(self, form: Form, task: Task, menu: QMenu, tell: Tell, parent: QWidget) -> None:
        self._form, self._task, self._tell, self._parent = form, task, tell, parent
        self._kind, self._untouched, self._recalled = "", self._settings(), False
        defaults = "Set all settings to their defaults; the output stays"
        self.row = NoteRow("Settings that are not at their defaults", "Defaults", defaults)
        self.menu = QMenu("Presets", menu)
        action = menu.addMenu(self.menu)
        if action is not None:
            action.setToolTip("Settings that you keep under a name; each is a recipe file for the command line too")
        self.menu.aboutToShow.connect(self.fill)
        added = menu.addAction("Restore defaults", self.restore_defaults)
        if added is not None:
            added.setToolTip(defaults)
        self.row.button.clicked.connect(self.restore_defaults)
        form.changed.connect(self._layer_may_have_changed)
        self.fill()
        self._layer_may_have_changed()

    # ------------------------------------------------------------------------------------------------ last settings

    def remember_run(self) -> None:
        """Keep the settings of a run that has started, for layers of the same kind."""
        folder = memory_folder()
        if folder is None or self._form.input.layer() is None:
            return
        with suppress(RestoreError):
            remember(folder, self._task, self._kind_of_layer(), self._form.choices())

    def restore_defaults(self) -> None:
        """Set all settings to their defaults."""
        self._form.show_defaults()
        self._untouched = self._settings()
        self.row.say("")

    def _layer_may_have_changed(self) -> None:
        if self._form.input.layer() is None or not self._form.input.axes_fit():  # while axes are typed, they do not
            return
        kind, folder = self._kind_of_layer(), memory_folder()
        if kind == self._kind or folder is None:
            return
        self._kind = kind
        if self._settings() != self._untouched:  # the user has begun to choose
            return
        choices, why = recall(folder, self._task, kind)
        if choices is not None:
            self._form.show_recipe(choices.recipe, keep=OF_THE_MACHINE)
            self._say_recalled(choices)
        else:
            if self._recalled:  # those of another kind of layer
                self._form.show_defaults()
            self.row.say(why)
        self._recalled = choices is not None
        self._untouched = self._settings()

    def _say_recalled(self, choices: Choices) -> None:
        own = {} if choices.model == self._form.model.suited else {"model": Path(choices.model).name}
        chosen = {**own, **choices.settings()}
        self.row.say(f"As in your last run: {in_words(chosen)}." if chosen else "")

    def _kind_of_layer(self) -> str:
        return layer_kind(self._form.input.letters(), self._form.input.samples())

    def _settings(self) -> dict[str, object]:
        """Return the model and the values of all controls; empty while typed text is wrong."""
        with suppress(RestoreError):
            shown = {name: control.value() for name, control in self._form.controls.items()}
            own = self._form.model.model() if self._form.model.is_own_choice else None
            return {**shown, "model": own}
        return {}

    # ------------------------------------------------------------------------------------------------------ presets

    def fill(self) -> None:
        """List the presets in their menu."""
        self.menu.clear()
        folder = memory_folder()
        names = [] if folder is None else presets.preset_names(folder, self._task)
        for name in names:
            self.menu.addAction(name, guarded(partial(self.load, name), self._tell))
        if names:
            self.menu.addSeparator()
        self.menu.addAction("Save as preset…", guarded(self._ask_and_save, self._tell))
        if names:
            removal = QMenu("Delete preset", self.menu)
            for name in names:
                removal.addAction(name, guarded(partial(self.delete, name), self._tell))
            self.menu.addMenu(removal)

    def save(self, name: str) -> None:
        """Keep the current settings under a name."""
        path = presets.save_preset(self._folder(), self._task, name, self._form.choices())
        self._tell(f"Preset {name.strip()} is saved.", details=f"On the command line: --recipe {str(path)!r}")

    def load(self, name: str) -> None:
        """Show the settings of a preset."""
        self._form.show_recipe(presets.load_preset(self._folder(), self._task, name).recipe, keep=OF_THE_MACHINE)
        self.row.say("")
        self._tell(f"Preset {name}.")

    def delete(self, name: str) -> None:
        """Delete a preset."""
        presets.delete_preset(self._folder(), self._task, name)
        self._tell(f"Preset {name} is deleted.")

    def _ask_and_save(self) -> None:
        name, accepted = QInputDialog.getText(self._parent, "Save as preset", "Name of the preset")
        if accepted:
            self.save(name)

    def _folder(self) -> Path:
        folder = memory_folder()
        if folder is None:
            raise OutputError(
                "napari keeps no settings (NAPARI_CONFIG is empty), and so no presets; save a recipe instead."
            )
        return folder

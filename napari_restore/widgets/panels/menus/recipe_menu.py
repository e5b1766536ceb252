"""The menu that copies a job as Python or as a command, and saves and loads recipes."""

from __future__ import annotations

__all__ = ["RecipeMenu"]

from qtpy.QtWidgets import QApplication, QFileDialog, QMenu, QWidget

from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs import calls
from napari_restore.widgets.panels.form import Form
from napari_restore.widgets.panels.menus.guarded import Tell, guarded


class RecipeMenu:
    """The actions of the menu beside *Run*.

    Parameters
    ----------
    form : Form
        The form that gives and takes choices.
    menu : QMenu
        The menu; the actions are added to it.
    tell : callable
        Shows a line of text, as a `warning` or with `details`: see `RunBar.tell`.
    parent : QWidget
        Parent of the file dialogs.
    """

    def __init__(self, form: Form, menu: QMenu, tell: Tell, parent: QWidget) -> None:
        self._form, self._tell, self._parent = form, tell, parent
        menu.setToolTipsVisible(True)
        for title, tip, action in (
            ("Apply the same to…", "Tick other layers; Run restores them with the same settings", self.tick_others),
            ("Copy as Python", "Copy the call that Run makes to the clipboard, as Python code", self.copy_python),
            ("Copy as command", "Copy the command that does the same to the clipboard", self.copy_command),
            ("Save recipe…", "Save the current choices as a recipe file", self.save),
            ("Load recipe…", "Set all controls from a recipe file", self.load),
            ("Load recipe of an OME-Zarr…", "Set all controls from the recipe of an OME-Zarr", self.load_of_output),
        ):
            added = menu.addAction(title, guarded(action, tell))
            if added is not None:
                added.setToolTip(tip)

    def tick_others(self) -> None:
        """Tick all layers except the chosen one in the list of those that a run restores."""
        if not self._form.input.several.open_for(self._form.input.layer()):
            raise RestoreError("no other layer has the axes of this one; open another image.")
        self._tell("Tick the layers, then Run: the settings are the same for all.")

    def copy_python(self) -> None:
        """Copy the call as Python code to the clipboard."""
        self._copy(calls.as_python(self._form.job()))

    def copy_command(self) -> None:
        """Copy the command to the clipboard."""
        self._copy(calls.as_command(self._form.job()))

    def _copy(self, text: str) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(text)
        self._tell("Copied.", details=text)

    def save(self) -> None:
        """Save the current choices as a recipe file."""
        choices = self._form.choices()
        path, _ = QFileDialog.getSaveFileName(self._parent, "Save recipe", "recipe.json", "Recipes (*.json)")
        if path:
            calls.save_recipe(choices, path)
            self._tell("Saved.")

    def load(self) -> None:
        """Load choices from a recipe file."""
        path, _ = QFileDialog.getOpenFileName(self._parent, "Load recipe", "", "Recipes (*.json)")
        if path:
            self._form.show_choices(calls.load_recipe(path))

    def load_of_output(self) -> None:
        """Load choices from the recipe of an OME-Zarr."""
        path = QFileDialog.getExistingDirectory(self._parent, "Load the recipe of an OME-Zarr")
        if path:
            self._form.show_choices(calls.load_recipe(path))

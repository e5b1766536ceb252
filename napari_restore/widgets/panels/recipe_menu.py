"""The menu that copies a job as Python or as a command, and saves and loads its recipe."""

from __future__ import annotations

__all__ = ["RecipeMenu"]

from collections.abc import Callable

from qtpy.QtWidgets import QApplication, QFileDialog, QMenu, QWidget

from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs import calls
from napari_restore.widgets.panels.form import Form

Tell = Callable[..., None]


class RecipeMenu:
    """Fills a menu.

    Parameters
    ----------
    form
        What is chosen.
    menu
        What is filled.
    tell
        Shows a line, with `warning` or `details` on demand: see `RunBar.tell`.
    parent
        Of the file dialogs.
    """

    def __init__(self, form: Form, menu: QMenu, tell: Tell, parent: QWidget) -> None:
        self._form, self._tell, self._parent = form, tell, parent
        menu.setToolTipsVisible(True)
        for title, tip, action in (
            ("Copy as Python", "Put the call that Run makes on the clipboard, as Python", self.copy_python),
            ("Copy as command", "Put the command line that does the same on the clipboard", self.copy_command),
            ("Save recipe…", "Save what is chosen as a file", self.save),
            ("Load recipe…", "Choose what a recipe file says", self.load),
            ("Load recipe of an OME-Zarr…", "Choose what an OME-Zarr of ours was made with", self.load_of_output),
        ):
            added = menu.addAction(title, self._guarded(action))
            if added is not None:
                added.setToolTip(tip)

    def copy_python(self) -> None:
        """Put the call as Python on the clipboard."""
        self._copy(calls.as_python(self._form.job()))

    def copy_command(self) -> None:
        """Put the command line on the clipboard."""
        self._copy(calls.as_command(self._form.job()))

    def _copy(self, text: str) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(text)
        self._tell("Copied.", details=text)

    def save(self) -> None:
        """Save what is chosen as a file."""
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
        """Load choices from what an OME-Zarr was made with."""
        path = QFileDialog.getExistingDirectory(self._parent, "Load the recipe of an OME-Zarr")
        if path:
            self._form.show_choices(calls.load_recipe(path))

    def _guarded(self, action: Callable[[], None]) -> Callable[..., None]:
        """Show an error of ours as a line, and pay no heed to what the menu says beside."""

        def call(*_: object) -> None:
            try:
                action()
            except (RestoreError, OSError) as error:
                self._tell(str(error), warning=True)

        return call

"""Presets: choices that the user keeps under a name, each a recipe file that the command line reads as well."""

from __future__ import annotations

__all__ = ["delete_preset", "load_preset", "preset_names", "save_preset", "without_source"]

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote

from napari_restore.engine.planning.recipe import SOURCE_FIELDS, make_recipe
from napari_restore.errors import OutputError, RecipeError
from napari_restore.widgets.jobs.calls import load_recipe, save_recipe
from napari_restore.widgets.jobs.job import Choices, Task

_ENDING = ".json"
_LONGEST = 60
"""Largest number of letters of a name."""


def _folder(folder: Path, task: Task) -> Path:
    return folder / "presets" / task


def _path(folder: Path, task: Task, name: str) -> Path:
    """Return the file of a preset. Letters that a file name cannot have are written as in URLs."""
    if not name.strip() or len(name) > _LONGEST:
        raise RecipeError(f"a preset needs a name of 1 to {_LONGEST} letters, and {name!r} has {len(name)}; type one.")
    return _folder(folder, task) / f"{quote(name.strip(), safe=' ()+,=@')}{_ENDING}"


def preset_names(folder: Path, task: Task) -> list[str]:
    """Return the names of the presets of a task, in alphabetical order; none if the folder cannot be read.

    Parameters
    ----------
    folder : Path
        Folder of what the dock widgets remember.
    task : str
        ``"denoise"`` or ``"super-resolve"``.
    """
    try:
        files = [path for path in _folder(folder, task).iterdir() if path.suffix == _ENDING]
    except OSError:
        return []
    return sorted((unquote(path.stem) for path in files), key=str.casefold)


def save_preset(folder: Path, task: Task, name: str, choices: Choices) -> Path:
    """Keep choices under a name; an earlier preset of that name is replaced. Output and source are left out.

    Parameters
    ----------
    folder, task
        As for `preset_names`.
    name : str
        1 to 60 letters.
    choices : Choices
        The choices.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RecipeError
        If the name is empty or too long.
    OutputError
        If the file cannot be written.
    """
    path = _path(folder, task, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_recipe(without_source(choices), path)
    except OSError as error:
        raise OutputError(f"the preset cannot be written: {error}; free or unlock that folder.") from error
    return path


def load_preset(folder: Path, task: Task, name: str) -> Choices:
    """Read a preset.

    Raises
    ------
    RecipeError
        If its file is gone or damaged.
    """
    return without_source(load_recipe(_path(folder, task, name)))


def delete_preset(folder: Path, task: Task, name: str) -> None:
    """Delete a preset; one that is gone is no error."""
    try:
        _path(folder, task, name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"the preset cannot be deleted: {error}; unlock that file.") from error


def without_source(choices: Choices) -> Choices:
    """Return choices without output and without the settings that select what of a source is restored."""
    given = choices.recipe.model_dump(exclude_unset=True, exclude=set(SOURCE_FIELDS))
    return replace(choices, recipe=make_recipe(**given), output=None, overwrite=False)

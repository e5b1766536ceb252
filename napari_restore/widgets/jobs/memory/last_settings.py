"""The settings of the last run, for each task and each kind of layer."""

from __future__ import annotations

__all__ = ["layer_kind", "recall", "remember"]

import logging
from pathlib import Path

from napari_restore import api
from napari_restore.engine.planning.recipe import make_recipe
from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs.calls import load_recipe, save_recipe
from napari_restore.widgets.jobs.job import Choices, Task
from napari_restore.widgets.jobs.memory.presets import without_source

OF_THE_DATA = frozenset({"value_range", "noise", "valid_range", "fill_values", "chunks", "shards"})
"""Settings that are about the values or the shape of one layer, and are not used for another."""
OF_THE_MACHINE = frozenset({"device", "memory_budget"})
"""Settings that have their default in napari's preferences."""
_log = logging.getLogger(__name__)


def layer_kind(axes: str, samples: int) -> str:
    """Return the kind of a layer: gray or RGB, with or without channels, a plane or a stack.

    Parameters
    ----------
    axes : str
        One letter of TCZYXS for each axis.
    samples : int
        Number of colour samples of a pixel.

    Examples
    --------
    >>> layer_kind("CZYX", 1), layer_kind("YXS", 3)
    ('gray-channels-stack', 'rgb-plane')
    """
    colour = "gray" if samples == 1 else "rgb"
    return "-".join(
        filter(None, (colour, "channels" if "C" in axes else "", "stack" if set("TZ") & set(axes) else "plane"))
    )


def remember(folder: Path, task: Task, kind: str, choices: Choices) -> None:
    """Keep the settings of a run. A folder that cannot be written is no error.

    Parameters
    ----------
    folder : Path
        Folder of what the dock widgets remember.
    task : str
        ``"denoise"`` or ``"super-resolve"``.
    kind : str
        Kind of the layer, as `layer_kind` returns it.
    choices : Choices
        Choices of the run; those about the data, the machine and the output are left out.
    """
    given = without_source(choices).recipe.model_dump(exclude_unset=True, exclude_defaults=True)
    kept = {name: value for name, value in given.items() if name not in OF_THE_DATA | OF_THE_MACHINE}
    path = _path(folder, task, kind)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_recipe(Choices(make_recipe(**kept | {"model": choices.model})), path)
    except OSError as error:
        _log.info("%s cannot be written (%s); these settings are not remembered", path, error)


def recall(folder: Path, task: Task, kind: str) -> tuple[Choices | None, str]:
    """Return the settings of the last run for a kind of layer.

    Parameters
    ----------
    folder, task, kind
        As for `remember`.

    Returns
    -------
    choices : Choices or None
        The settings; None if there are none, or they cannot be used.
    why : str
        Why they cannot be used; empty if they can, or if there are none.
    """
    path = _path(folder, task, kind)
    if not path.is_file():
        return None, ""
    try:
        chosen = without_source(load_recipe(path))
    except RestoreError as error:
        _log.info("%s is not used: %s", path, error)
        return None, f"The settings of the last run cannot be read ({path.name} is damaged); these are the defaults."
    if Path(chosen.model).is_file() or any(card.name == chosen.model for card in api.models()):
        return chosen, ""
    return None, f"The model of the last run, {Path(chosen.model).name}, is gone; these are the defaults."


def _path(folder: Path, task: Task, kind: str) -> Path:
    return folder / "last" / f"{task}-{kind}.json"

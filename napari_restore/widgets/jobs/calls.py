"""Write a job as Python code, as a command, or as a recipe file."""

from __future__ import annotations

__all__ = ["as_command", "as_python", "load_recipe", "save_recipe"]

import shlex
from pathlib import Path
from typing import Any

from napari_restore import api
from napari_restore.engine.planning.recipe import settings
from napari_restore.engine.planning.recipe_file import RecipeFile, read_recipe, write_recipe
from napari_restore.errors import RecipeError, RestoreError, SourceError
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.layers.image_layers import full_resolution, whole


def as_python(job: Job) -> str:
    """Return a job as Python code that runs in napari's console, or anywhere if the layer is a file."""
    choices = job.choices
    lines = ["from napari_restore import api", ""]
    file, given = _file_of(job), choices.settings()
    if file is not None:
        source = repr(file[0])
        given = {**file[1], **given}
    else:
        lines.insert(1, "from napari_restore.widgets.jobs.layers.image_layers import layer_image")
        lines += [f"layer = viewer.layers[{job.layer.name!r}]", _image_code(job), ""]
        source = "image"
    if choices.output is not None:
        given = {"output": choices.output, **({"overwrite": True} if choices.overwrite else {}), **given}
    arguments = "".join(f", {name}={_for_all_channels(name, value)!r}" for name, value in given.items())
    if choices.output is not None:
        lines.append(f"api.restore({source}, model={choices.model!r}{arguments})")
    else:
        lines += [
            "import numpy as np",
            "",
            f"plan = api.plan({source}, model={choices.model!r}{arguments})",
            "result = np.zeros(plan.shape, plan.dtype)  # axes in the order of plan.axes",
            "for progress in api.run(plan, result):",
            "    print(progress)",
        ]
    return "\n".join(lines) + "\n"


def _for_all_channels(name: str, value: Any) -> Any:
    """Unwrap a value that is for all channels from its list of one."""
    said = settings().get(name)
    per_channel = said is not None and said.flags and said.written.kind == "channels"
    return value[0] if per_channel and len(value) == 1 else value


def _image_code(job: Job) -> str:
    """Return code that makes the image of the job: lazy, with origin, scale, units and channels."""
    region = "" if job.region == whole(job.layer) else f", ({_slices(job)},)"
    return f"image = layer_image(layer, {job.axes!r}{region})"


def _slices(job: Job) -> str:
    return ", ".join(f"slice({s.start}, {s.stop})" for s in job.region)


def as_command(job: Job) -> str:
    """Return the command that does the same as a job.

    Raises
    ------
    RestoreError
        If there is none: the layer is no file, the region is not the whole layer, or the result stays in memory.
    """
    file, choices = _file_of(job), job.choices
    if file is None:
        raise SourceError(
            "the command line restores whole files; save the layer and open that file, or copy the call as Python."
        )
    if choices.output is None:
        raise RecipeError("the command line writes an OME-Zarr; choose one as output, or copy the call as Python.")
    path, of_source = file
    card = choices.card()
    upscales = card.scale > 1
    words = ["napari-restore", "upscale" if upscales else "denoise", path, choices.output, "--model", choices.model]
    if upscales:
        words += ["--scale", str(card.scale)]
    said = settings()
    for name, value in {**of_source, **{name: getattr(choices.recipe, name) for name in choices.settings()}}.items():
        words += said[name].words(value)
    if choices.overwrite:
        words.append("--overwrite")
    return shlex.join(words)


def _file_of(job: Job) -> tuple[str, dict[str, Any]] | None:
    """Return the file that has exactly the job's pixels, and the settings that select them; None if there is none."""
    path = job.layer.source.path
    if path is None or job.region != whole(job.layer):
        return None
    data, recipe = full_resolution(job.layer), job.choices.recipe
    for level, series in {(recipe.level, recipe.series): None, (0, 0): None}:
        try:
            opened = api.open_image(path, axes=job.axes, level=level, series=series)
        except (RestoreError, OSError):
            continue
        if opened.axes == job.axes and tuple(opened.data.shape) == tuple(data.shape) and opened.dtype == data.dtype:
            which = {"level": level, "series": series}
            return path, {"axes": job.axes, **{name: number for name, number in which.items() if number}}
    return None


def save_recipe(choices: Choices, path: str | Path) -> None:
    """Write choices as JSON.

    Parameters
    ----------
    choices : Choices
        The choices.
    path : str or Path
        File to write.
    """
    write_recipe(RecipeFile(choices.recipe, choices.output, choices.overwrite), path)


def load_recipe(path: str | Path) -> Choices:
    """Read the choices that `save_recipe` wrote, or the recipe of an OME-Zarr that this package made.

    Parameters
    ----------
    path : str or Path
        A recipe file, or the folder of an OME-Zarr.

    Returns
    -------
    Choices
        Without settings that have their default.

    Raises
    ------
    RecipeError
        If the file holds no recipe, or one with settings that are unknown or not allowed.
    """
    content = read_recipe(path)
    return Choices(content.recipe, content.output, content.overwrite)

"""A job as something to keep: the call in Python, the command, and a recipe file."""

from __future__ import annotations

__all__ = ["as_command", "as_python", "load_recipe", "save_recipe"]

import json
import shlex
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from napari_restore import api
from napari_restore.errors import RecipeError, RestoreError, SourceError
from napari_restore.files import write_whole
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.layers import full_resolution, whole

_OPTIONS = {"value_range": "range", "memory_budget": "memory"}
"""Options of the command that are called otherwise than the setting."""
_WITH_COMMAS = ("tile", "mean")
"""Settings of one number or several, which are one word with commas in the command."""


def as_python(job: Job) -> str:
    """The call that a job makes, as Python code that runs in napari's console or, for a file, anywhere."""
    choices = job.choices
    lines = ["from napari_restore import api", ""]
    path = _file_of(job)
    settings = choices.settings()
    if path is not None:
        source = repr(path)
        settings = {"axes": job.axes, **settings}
    else:
        lines.insert(1, "from napari_restore.widgets.jobs.layers import layer_image")
        lines += [f"layer = viewer.layers[{job.layer.name!r}]", _image_code(job), ""]
        source = "image"
    if choices.output is not None:
        settings = {"output": choices.output, **({"overwrite": True} if choices.overwrite else {}), **settings}
    arguments = "".join(f", {name}={value!r}" for name, value in settings.items())
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


def _image_code(job: Job) -> str:
    """The region as the dock widget takes it: lazily, with its place, scale, units and channels."""
    region = "" if job.region == whole(job.layer) else f", ({_slices(job)},)"
    return f"image = layer_image(layer, {job.axes!r}{region})"


def _slices(job: Job) -> str:
    return ", ".join(f"slice({s.start}, {s.stop})" for s in job.region)


def as_command(job: Job) -> str:
    """The command line that does what a job does.

    Raises
    ------
    RestoreError
        If there is none: for a layer that is no file, a region, or a result in memory.
    """
    path, choices = _file_of(job), job.choices
    if path is None:
        raise SourceError(
            "the command line restores whole files; save the layer and open that file, or copy the call as Python."
        )
    if choices.output is None:
        raise RecipeError("the command line writes an OME-Zarr; choose one as output, or copy the call as Python.")
    card = api.model_card(choices.model, img_range=choices.img_range, mean=choices.mean)
    upscales = card.scale > 1
    words = ["napari-restore", "upscale" if upscales else "denoise", path, choices.output, "--model", choices.model]
    if upscales:
        words += ["--scale", str(card.scale)]
    words += ["--axes", job.axes]
    for name, value in choices.settings().items():
        if not isinstance(value, bool | int | float | str) and not all(isinstance(item, float | int) for item in value):
            raise RecipeError(
                f"the command line takes one {name.replace('_', ' ')} for all channels; give one, or copy the call as "
                "Python."
            )
        option = f"--{_OPTIONS.get(name, name).replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option if value else f"--no-{name}")
        else:
            numbers = [str(item) for item in (value if isinstance(value, tuple) else (value,))]
            words += [option, *([",".join(numbers)] if name in _WITH_COMMAS else numbers)]
    if choices.overwrite:
        words.append("--overwrite")
    return shlex.join(words)


def _file_of(job: Job) -> str | None:
    """Path of the file that is all of the job's input, pixel for pixel; None if there is none."""
    path = job.layer.source.path
    if path is None or job.region != whole(job.layer):
        return None
    try:
        opened = api.open_image(path, axes=job.axes)
    except (RestoreError, OSError):
        return None
    data = full_resolution(job.layer)
    same = opened.axes == job.axes and tuple(opened.data.shape) == tuple(data.shape) and opened.dtype == data.dtype
    return path if same else None


def save_recipe(choices: Choices, path: str | Path) -> None:
    """Write choices as JSON."""
    write_whole(Path(path), json.dumps(asdict(choices), indent=1) + "\n")


def load_recipe(path: str | Path) -> Choices:
    """Read choices that `save_recipe` wrote, or the recipe of an OME-Zarr that this package made.

    Raises
    ------
    RecipeError
        If the file holds no recipe.
    """
    if Path(path).is_dir():
        from napari_restore.images.writing.ome_zarr import read_attributes

        content: Any = (read_attributes(path) or {}).get("recipe")
        if content is None:
            raise RecipeError(f"{path} holds no recipe; choose a recipe file, or an OME-Zarr that this package made.")
        for name in ("value_range", "noise"):
            values = content.get(name)
            content[name] = values[0] if values and len(values) == 1 else values
        with suppress(RestoreError):
            if content["blend"] == api.model_card(content["model"]).blend:
                content.pop("blend")  # as the next plan will choose it
    else:
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RecipeError(f"{path} cannot be read as a recipe: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), str):
        raise RecipeError(f"{path} holds no recipe: it names no model.")
    known = {field.name for field in fields(Choices)}
    chosen = {name: value for name, value in content.items() if name in known}
    for name, value in chosen.items():
        if isinstance(value, list):
            chosen[name] = tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return Choices(**chosen)

"""Write a recipe to a file, and read it from one, or from an OME-Zarr that this package made."""

from __future__ import annotations

__all__ = ["RecipeFile", "read_recipe", "write_recipe"]

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_restore.engine.planning.recipe import Recipe, make_recipe
from napari_restore.errors import RecipeError
from napari_restore.files import write_whole

_CHOOSE = "choose a recipe file, or an OME-Zarr that this package made."


@dataclass(frozen=True)
class RecipeFile:
    """The content of a recipe file.

    Attributes
    ----------
    recipe : Recipe
        The settings, without those that have their default.
    output : str or None
        Output of the run; None for a result in memory.
    overwrite : bool
        Whether the run replaces an existing output.
    """

    recipe: Recipe
    output: str | None = None
    overwrite: bool = False


def write_recipe(content: RecipeFile, path: str | Path) -> None:
    """Write a recipe as JSON.

    Parameters
    ----------
    content : RecipeFile
        The recipe; settings that are left open are left out.
    path : str or Path
        File to write.
    """
    settings = content.recipe.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    settings |= {"output": content.output, "overwrite": content.overwrite}
    write_whole(Path(path), json.dumps(settings, indent=1) + "\n")


def read_recipe(path: str | Path) -> RecipeFile:
    """Read a recipe.

    Parameters
    ----------
    path : str or Path
        A file that `write_recipe` wrote, or the folder of an OME-Zarr.

    Returns
    -------
    RecipeFile
        The content.

    Raises
    ------
    RecipeError
        If the file holds no recipe, or one with settings that are unknown or not allowed.
    """
    content = _content(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), str):
        raise RecipeError(f"{path} holds no recipe: it names no model; {_CHOOSE}")
    output, overwrite = content.get("output"), bool(content.get("overwrite"))
    try:
        recipe = make_recipe(**{name: value for name, value in content.items() if name not in ("output", "overwrite")})
    except RecipeError as error:
        raise RecipeError(f"{path} cannot be used as a recipe: {error.fault}", error.way_out) from None
    if Path(path).is_dir():
        recipe = Recipe.from_json(content)  # missing settings get the defaults of the version that stored it
    # Settings with their default are left out: a recipe that is stored with a result has every setting.
    return RecipeFile(make_recipe(**recipe.model_dump(exclude_defaults=True)), output, overwrite)


def _content(path: str | Path) -> Any:
    if Path(path).is_dir():
        from napari_restore.images.writing.ome_zarr import read_attributes

        content = (read_attributes(path) or {}).get("recipe")
        if content is None:
            raise RecipeError(f"{path} holds no recipe; {_CHOOSE}")
        return content
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}; {_CHOOSE}") from error

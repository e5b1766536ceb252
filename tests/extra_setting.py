"""A setting that is added to the schema while a test runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic.fields import FieldInfo

from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.planning.settings.setting import Setting

NAME = "sharpness"
SENTENCE = "How sharp the result becomes."


@contextmanager
def extra_setting() -> Iterator[None]:
    """Give `Recipe` one field more, as if it stood in the class."""
    annotation = Annotated[float | None, Setting(SENTENCE, "values", unit="lines per pixel", otherwise="as it comes")]
    fields = Recipe.__pydantic_fields__
    fields[NAME] = FieldInfo.from_annotated_attribute(annotation, None)
    Recipe.model_rebuild(force=True)
    try:
        yield
    finally:
        del fields[NAME]
        Recipe.model_rebuild(force=True)

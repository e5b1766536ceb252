"""Define the recipe: all settings that a result depends on, and the settings that say how to run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from napari_restore.engine.planning.settings.earlier_names import backend_read, backend_written
from napari_restore.engine.planning.settings.fields import Fields
from napari_restore.engine.planning.settings.setting import NEVER, Setting
from napari_restore.errors import RecipeError

__all__ = ["EXECUTION_FIELDS", "SOURCE_FIELDS", "Recipe", "make_recipe", "settings"]


class Recipe(Fields):
    """The settings of a run. A field that is None is chosen when the run is planned, and stored with the result.

    The `Setting` in the annotation of a field of `Fields` is the only place that defines its meaning, unit and control;
    `settings` returns them by name, and ``docs/settings.md`` lists them.
    """

    def merged(self, stored: Recipe) -> Recipe:
        """Fill fields that were not given from the recipe of an earlier run with the same model.

        A field that is None counts as not given. Of the fields that say how to run, only those that change the last
        bits of a result are filled: another machine has other devices, cores and memory.

        Parameters
        ----------
        stored : Recipe
            Recipe of the earlier run. With another model, nothing is filled.

        Returns
        -------
        Recipe
            The filled recipe.
        """
        if stored.model != self.model:
            return self
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        if self.neighbours and stored.neighbours and self.neighbours.agrees_with(stored.neighbours):
            given.discard("neighbours")
        if self.denoise == "auto" and stored.denoise != "none":
            given.discard("denoise")
        taken = Recipe.model_fields.keys() - (EXECUTION_FIELDS - _KEPT_ON_RESUME) - given
        return Recipe(**{**stored.model_dump(include=taken), **self.model_dump(include=given)})

    def given(self) -> dict[str, Any]:
        """Return the given fields that the stored result depends on, as JSON types, without fields left open."""
        left = {*EXECUTION_FIELDS, "model"}
        return self.model_dump(mode="json", include=self.model_fields_set - left, exclude_defaults=True)

    def pixel_settings(self) -> dict[str, Any]:
        """Return all fields that the stored result depends on, as JSON types."""
        return {name: value for name, value in self._since_earlier().items() if name not in EXECUTION_FIELDS}

    def as_json(self) -> dict[str, Any]:
        """Return all fields as JSON types, as they are stored.

        A field that was added later is left out if it has its `Setting.earlier` value. So recipes and fingerprints of
        earlier results do not change.
        """
        return backend_written(self._since_earlier())

    def _since_earlier(self) -> dict[str, Any]:
        """Return the settings as JSON types, without newer settings whose value means the behaviour before them."""
        return self.model_dump(mode="json", exclude={n for n, value in _EARLIER.items() if getattr(self, n) == value})

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Recipe:
        """Make a recipe from its stored form; settings that its version did not have get their `Setting.earlier` value.

        Parameters
        ----------
        content : dict of str to Any
            Result of `as_json`, in this or an earlier version.
        """
        return cls.model_validate({**_EARLIER, "backend": "eager"} | backend_read(content))


def settings() -> dict[str, Setting]:
    """Return the setting of each field of a recipe, by name, in the order of the fields.

    Raises
    ------
    TypeError
        If the annotation of a field has no `Setting`.
    """
    found = {}
    for name, field in Recipe.model_fields.items():
        setting = next((item for item in field.metadata if isinstance(item, Setting)), None)
        if setting is None:
            raise TypeError(f"field {name!r} of the recipe has no Setting; add one to its annotation.")
        default = None if field.is_required() else field.default
        found[name] = replace(setting, name=name, annotation=field.annotation, default=default)
    return found


SOURCE_FIELDS = frozenset(name for name, setting in settings().items() if setting.group == "source")
"""Fields that select what of a source is restored. They apply to one source only."""
EXECUTION_FIELDS = frozenset(name for name, setting in settings().items() if setting.group == "run")
"""Fields that say how to run. Recipes that differ only in these have the same result."""
_KEPT_ON_RESUME = frozenset(name for name, setting in settings().items() if setting.last_bits)
"""Those of them that a resumed run keeps, as they change the last bits of a result."""

_EARLIER: dict[str, Any] = {
    name: setting.earlier for name, setting in settings().items() if setting.earlier is not NEVER
}
"""For each setting that was added later, the value that reproduces the results of versions without it."""


def make_recipe(**settings: Any) -> Recipe:
    """Make a recipe from keyword arguments.

    Raises
    ------
    RecipeError
        If a setting is unknown or out of its allowed values.
    """
    try:
        return Recipe(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise RecipeError(f"there is no setting {name!r}; use one of {', '.join(Recipe.model_fields)}.") from None
        name = f"{name}={first['input']!r}: " if name else ""
        raise RecipeError(f"{name}{first['msg'].removeprefix('Value error, ')}.") from None

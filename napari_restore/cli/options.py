"""Options of the command line: one for each setting of a recipe, made from its `Setting`, and some shared ones.

typer makes the options of a command from the parameters of its function. The options for settings are added by
`with_settings`, which returns a class of commands, and `given` returns the settings that the user has given.
"""

from __future__ import annotations

__all__ = ["Overwrite", "Quiet", "Recipe", "Source", "given", "is_given", "with_recipe", "with_settings"]

from dataclasses import field, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from napari_restore.errors import RecipeError

if TYPE_CHECKING:
    from napari_restore.engine.planning.settings.setting import Setting

Source = Annotated[str, typer.Argument(help="TIFF, OME-TIFF, pattern of files, Zarr, OME-Zarr, HDF5, Imaris, ...")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing OME-Zarr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]

Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="Recipe file, or OME-Zarr made by this package, whose model and settings are used; options replace them.",
    ),
]

_GIVEN = "settings that were given"
"""Key of the given settings in the `meta` of a context."""


def with_settings(*names: str) -> type[TyperCommand]:
    """Return a class of commands with options for settings, after the options of the function.

    Parameters
    ----------
    *names : str
        Settings with an option; by default all.

    Examples
    --------
    >>> app = typer.Typer()
    >>> @app.command(cls=with_settings("tile", "device"))
    ... def show(context: typer.Context, source: str) -> None:
    ...     print(source, given(context))
    >>> app(["cells.tif", "--tile", "64,96"], standalone_mode=False)
    cells.tif {'tile': (64, 96)}
    """

    class Command(TyperCommand):
        """Command with options for settings, which are made when the command is used, not for a list of commands."""

        _chosen: dict[str, Setting] | None = None

        def get_params(self, ctx: Any) -> Any:
            if self._chosen is None:
                from napari_restore.engine.planning.recipe import settings

                self._chosen = {
                    name: setting
                    for name, setting in settings().items()
                    if setting.flags and name != "model" and (not names or name in names)
                }
                self.params = [*self.params, *_options(self._chosen)]
            return super().get_params(ctx)

        def invoke(self, ctx: Any) -> Any:
            read = {name: (setting, ctx.params.pop(name)) for name, setting in (self._chosen or {}).items()}
            ctx.meta[_GIVEN] = {
                # Options that are not given are not passed on either, so a resumed run keeps its stored settings.
                name: setting.read(value)
                for name, (setting, value) in read.items()
                if is_given(ctx, name)
            }
            return super().invoke(ctx)

    return Command


def is_given(context: typer.Context, name: str) -> bool:
    """Return whether the user has given a parameter of a command, instead of its default.

    Parameters
    ----------
    context : typer.Context
        Context of the command.
    name : str
        Name of the parameter.
    """
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def given(context: typer.Context) -> dict[str, Any]:
    """Return the settings that the user has given to a command, as keyword arguments for `napari_restore.api`."""
    found: dict[str, Any] = context.meta[_GIVEN]
    return found


def with_recipe(context: typer.Context, recipe: str | None, model: str | None) -> tuple[str | None, dict[str, Any]]:
    """Return the model and the settings of a command: those of a recipe, replaced by those that the user has given.

    Parameters
    ----------
    context : typer.Context
        Context of the command.
    recipe : str or None
        A recipe file, or the folder of an OME-Zarr; None for no recipe.
    model : str or None
        Value of the option ``--model``, given or by default.

    Raises
    ------
    RecipeError
        If there is no recipe at that path, or it cannot be used.
    """
    if recipe is None:
        return model, given(context)
    from napari_restore import api

    taken = api.load_recipe(recipe)
    stored = taken.pop("model")
    return model if is_given(context, "model") else stored, {**taken, **given(context)}


def _options(settings: dict[str, Setting]) -> list[Any]:
    """Let typer make the options of settings, from a dataclass whose fields are its parameters."""
    fields = [(name, _annotation(setting), field(default=setting.default)) for name, setting in settings.items()]
    app = typer.Typer(add_completion=False)
    app.command()(make_dataclass("Options", fields))
    return [option for option in typer.main.get_command(app).params if option.name in settings]


def _annotation(setting: Setting) -> Any:
    """Return the type annotation of a setting for typer."""
    written = setting.written
    help = f"{setting.help.removesuffix('.')} ({setting.unit})." if setting.unit else setting.help
    told: dict[str, Any] = {
        "help": f"{help} Per channel: numbers separated by commas." if written.kind == "channels" else help,
        "metavar": setting.metavar or None,
        # The value that is used by default; typer prints it after the help.
        "show_default": setting.otherwise if setting.default is None else True,
    }
    flags = "/".join(setting.flags)
    if written.kind in ("list", "channels"):

        def items(word: str) -> tuple[float, ...]:
            try:
                return setting.read_items(word)
            except RecipeError as error:
                raise typer.BadParameter(str(error)) from None

        kind: Any = Any if written.kind == "list" else tuple[(str,) * written.count]  # type: ignore[misc]
        return Annotated[kind | None, typer.Option(flags, parser=items, **told)]
    item = str if written.kind == "lists" else written.item
    return Annotated[item | None if setting.default is None else item, typer.Option(flags, **told)]

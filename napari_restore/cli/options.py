"""The options of the command line: one for each setting of a recipe, made from its `Setting`, and some shared ones.

typer reads the options of a command off the parameters of its function. Those of the settings are not written there:
`with_settings` gives a class of command that has them, and `given` tells a command which of them it was given.
"""

from __future__ import annotations

__all__ = ["Overwrite", "Quiet", "Source", "given", "with_settings"]

from dataclasses import field, make_dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from napari_restore.engine.planning.recipe import settings
from napari_restore.engine.planning.settings.setting import Setting
from napari_restore.errors import RecipeError

Source = Annotated[str, typer.Argument(help="TIFF, OME-TIFF, pattern of files, Zarr, OME-Zarr, HDF5, Imaris, ...")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an OME-Zarr that is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]

_GIVEN = "settings that were given"
"""Where a context keeps the settings that were given."""


def with_settings(*names: str) -> type[TyperCommand]:
    """Give a class of command that has options for settings, behind those of its function.

    Parameters
    ----------
    *names : str
        Settings that the command has options for; all of them if none is named.

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
        """A command with options for settings."""

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            self._settings = {
                name: setting
                for name, setting in settings().items()
                if setting.flags and name != "model" and (not names or name in names)
            }
            self.params = [*self.params, *_options(self._settings)]

        def invoke(self, ctx: Any) -> Any:
            read = {name: (setting, ctx.params.pop(name)) for name, setting in self._settings.items()}
            ctx.meta[_GIVEN] = {
                # What is left out is left out of the call too: a resumed run keeps its own.
                name: setting.read(value)
                for name, (setting, value) in read.items()
                if ctx.get_parameter_source(name).name != "DEFAULT"
            }
            return super().invoke(ctx)

    return Command


def given(context: typer.Context) -> dict[str, Any]:
    """Give the settings that a command was given, as keyword arguments for `napari_restore.api`."""
    found: dict[str, Any] = context.meta[_GIVEN]
    return found


def _options(settings: dict[str, Setting]) -> list[Any]:
    """Let typer make options as it makes them of a function: here of a dataclass, whose fields are the parameters."""
    fields = [(name, _annotation(setting), field(default=setting.default)) for name, setting in settings.items()]
    app = typer.Typer(add_completion=False)
    app.command()(make_dataclass("Options", fields))
    return [option for option in typer.main.get_command(app).params if option.name in settings]


def _annotation(setting: Setting) -> Any:
    """Annotate a setting as typer wants it."""
    written = setting.written
    help = f"{setting.help.removesuffix('.')} ({setting.unit})." if setting.unit else setting.help
    told: dict[str, Any] = {
        "help": f"{help} Per channel: numbers with commas between them." if written.kind == "channels" else help,
        "metavar": setting.metavar or None,
        # What is used instead; typer puts it behind the help.
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

"""Commands about models: ``napari-restore models ...``."""

from __future__ import annotations

__all__ = ["models_app"]

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from napari_restore.cli.options import Quiet, given, with_settings
from napari_restore.cli.screen import downloads, out
from napari_restore.wording import human_bytes

models_app = typer.Typer(no_args_is_help=False)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models with a name: the bundled ones, and those that are downloaded on first use."""
    if context.invoked_subcommand is not None:
        return
    from napari_restore import api

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "task", "scale", "channels", "size", "state", "licence", "trained for"):
        table.add_column(heading, no_wrap=True)
    for card in api.models():
        size = human_bytes(api.weights_size(card))
        state = api.weights_state(card)
        row = (card.name, card.task, f"x{card.scale}", str(card.in_channels), size, state, card.licence, card.noise)
        table.add_row(*row)
    out.print(table)


@models_app.command()
def fetch(names: Annotated[list[str], typer.Argument(help="Names of published models.")], quiet: Quiet = False) -> None:
    """Download the weights of published models, to use them later without an internet connection."""
    from napari_restore import api

    for name in names:
        with downloads(name, quiet) as show:
            card = api.fetch(name, show)
        out.print(f"{card.name}: {api.weights_state(card)}")


@models_app.command(cls=with_settings("img_range", "mean"))
def inspect(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A checkpoint, or the name of a model.")],
) -> None:
    """Print the network and hyper-parameters of FILE, inferred from the shapes of its weights."""
    from napari_restore import api

    card = api.model_card(file, **given(context))
    out.print(card.description())


@models_app.command(cls=with_settings("img_range", "mean"))
def convert(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A checkpoint, or the name of a model.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A .safetensors file to write.")],
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
) -> None:
    """Write only the weights of FILE to OUT, with the hyper-parameters in its metadata."""
    from napari_restore import api

    card = api.convert_model(file, target, half=half, **given(context))
    out.print(f"{target}: {human_bytes(api.weights_size(card))}")

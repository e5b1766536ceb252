"""Write the pages that are generated from the code: ``python docs/write_pages.py``.

These are the references of the command line, of the models and of the api. `tests/house/test_pages.py` checks that
they are up to date.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from napari_restore import api, cli, errors
from napari_restore.engine.planning.recipe import settings
from napari_restore.models.card import ModelCard

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Written by docs/write_pages.py. -->\n"

GROUPS = {
    "Restore": ("denoise", "super_resolve", "restore", "iter_restore"),
    "Plan, and run a plan": ("plan", "run", "inspect", "report", "open_image", "save_ome_zarr"),
    "Check a result": ("verify", "run_report", "assess"),
    "Many images": ("plan_batch", "restore_batch", "run_batch", "BatchPlan", "BatchItem", "BatchProgress"),
    "Regions and neighbours": ("part", "neighbour_weights"),
    "Models": (
        "models",
        "recommend",
        "model_card",
        "fetch",
        "adapt",
        "adapt_for",
        "convert_model",
        "export_bioimageio",
        "export_onnx",
        "weights_state",
        "weights_size",
        "upscaler",
    ),
    "Machine": ("devices",),
    "Settings": ("Settings", "load_recipe", "DENOISER", "UPSCALERS"),
}
"""Public names of the api, by what they are for."""
RETURNED = (
    "napari_restore.engine.planning.plan.Plan",
    "napari_restore.engine.planning.recipe.Recipe",
    "napari_restore.engine.store.progress.Progress",
    "napari_restore.engine.compute.estimate.Report",
    "napari_restore.engine.record.report_file.RunReport",
    "napari_restore.engine.record.verify.Verification",
    "napari_restore.assessment.page.Assessment",
    "napari_restore.adapting.outcome.Adapted",
    "napari_restore.adapting.outcome.AdaptProgress",
    "napari_restore.images.image.Image",
    "napari_restore.models.card.ModelCard",
)
"""Classes of what the functions return."""
_TYPES = {str: "TEXT", int: "INTEGER", float: "FLOAT", Path: "PATH"}


def cell(text: object) -> str:
    """Return a text as a cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(*rows: tuple[object, ...]) -> str:
    """Return a Markdown table; the first row is its head."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def first_line(thing: object) -> str:
    """Return the first paragraph of a docstring as Markdown."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def commands(command: Any, name: str = "napari-restore") -> Iterator[tuple[str, Any]]:
    """Yield each command that does something, with its full name."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    if command.invoke_without_command:
        yield name, command
    for part, inner in command.commands.items():
        yield from commands(inner, f"{name} {part}")


def parameters(command: Any) -> list[Any]:
    """Return the arguments and options of a command, without ``--help``."""
    return [one for one in command.get_params(typer.Context(command)) if one.name != "help"]


def usage(name: str, command: Any) -> str:
    """Return the line that shows how a command is called."""
    words = [name]
    for one in parameters(command):
        if one.param_type_name == "argument":
            word = (one.metavar or one.name).upper() + ("..." if one.nargs == -1 else "")
            words.append(word if one.required else f"[{word}]")
    return " ".join([*words, "[OPTIONS]"])


def option(one: Any) -> tuple[str, str, str]:
    """Return flags, description and default of an option."""
    flags = ", ".join(f"`{flag}`" for flag in (*one.opts, *one.secondary_opts))
    takes = "" if one.is_flag else f" `{one.metavar or _TYPES[one.type_descriptor.annotation]}`"
    shown = one.show_default if isinstance(one.show_default, str) else ""
    if not shown and one.default is not None and not callable(one.default):
        shown = f"`{one.default}`" if not one.is_flag else ""
    return flags + takes, one.help or "", shown


def command_line() -> str:
    """Return the page about the command line."""
    parts = [
        MADE,
        "# Command line\n",
        "What `napari-restore --help` and `napari-restore COMMAND --help` print, in one page. A command exits with 0; "
        "with 1 if an image of a batch failed or `verify` found something; with 2 after an error, which is printed in "
        "one line; with 130 if it was interrupted. `NAPARI_RESTORE_TRACEBACK=1` in the environment adds the traceback "
        "of an error. Options of settings, which most commands share, are described in [settings](../settings.md).\n",
    ]
    of_settings = {name for name, setting in settings().items() if setting.flags and name != "model"}
    for name, command in commands(typer.main.get_command(cli.app)):
        shared = [one for one in parameters(command) if one.name in of_settings]
        own = [one for one in parameters(command) if one.name not in of_settings]
        parts.append(f"## {name}\n\n{' '.join((command.help or '').split())}\n")
        parts.append(f"```text\n{usage(name, command)}\n```\n")
        rows: list[tuple[object, ...]] = [
            (f"`{(one.metavar or one.name).upper()}`", one.help or "", "")
            for one in own
            if one.param_type_name == "argument"
        ]
        rows += [option(one) for one in own if one.param_type_name == "option"]
        if rows:
            parts.append(table(("argument or option", "what it is", "if left out"), *rows) + "\n")
        if shared:
            flags = ", ".join(f"`{one.opts[0]}`" for one in shared)
            parts.append(f"Options of settings: {flags}.\n")
    return "\n".join(parts)


def number_of(parameters: int | None) -> str:
    """Return the number of parameters, if a card has it."""
    return "" if parameters is None else f"{parameters:,} parameters, "


def bundled(card: ModelCard) -> str:
    """Return the section about a model whose weights are in the package."""
    rows: list[tuple[object, ...]] = [
        ("of the model", ""),
        ("task", card.task + (f" ×{card.scale}" if card.scale > 1 else "")),
        ("network", f"{card.architecture}: {', '.join(f'{k} {v}' for k, v in card.hyperparameters.items())}"),
        ("weights", f"{number_of(card.parameters)}SHA-256 `{card.sha256}`"),
        ("channels", f"{card.in_channels} in, {card.out_channels} out"),
        ("noise of its training", card.noise),
        ("tiles", f"{card.tile} pixels, halo {card.halo}, blend {card.blend}, multiples of {card.alignment}"),
        ("licence", card.licence),
        ("network's paper", card.paper),
    ]
    scores: list[tuple[object, ...]] = [
        (name, score["images"], f"{score['psnr']:.2f} dB", f"{score['ssim']:.3f}")
        for name, score in card.scores.items()
    ]
    parts = [f"### {card.name}\n", f"{card.title}.\n", table(*rows) + "\n"]
    if scores:
        parts.append(table(("set", "images", "PSNR", "SSIM"), *scores) + "\n")
    return "\n".join(parts)


def model_cards() -> str:
    """Return the page of all models."""
    cards = [*api.models()]
    own = [card for card in cards if card.url is None]
    published = [card for card in cards if card.url is not None]
    head = ("name", "what it is for", "noise", "channels", "parameters", "licence", "file")
    rows: list[tuple[object, ...]] = [
        (
            f"`{card.name}`",
            card.title,
            card.noise,
            card.in_channels,
            "" if card.parameters is None else f"{card.parameters / 1e6:.1f} M",
            card.licence,
            f"`{card.weights}`",
        )
        for card in published
    ]
    return "\n".join(
        [
            MADE,
            "# Model cards\n",
            "What `api.models()` and `napari-restore models` list, from the cards of the models. "
            "[Which model for which data](../howto/choose-a-model.md) helps to choose; [quality](../quality.md) "
            "describes the sets of the scores; [training](../training.md) how the bundled weights were made.\n",
            f"## Bundled: {len(own)} models\n",
            *(bundled(card) for card in own),
            f"## Published by the authors of the papers: {len(published)} models\n",
            "Weights are fetched when they are first used, and belong to their authors: mind the licence. The noise is "
            "a standard deviation on a scale of 255.\n",
            table(head, *rows) + "\n",
        ]
    )


def api_page() -> str:
    """Return the page of the public functions."""
    parts = [
        MADE,
        "# Python: napari_restore.api\n",
        "`from napari_restore import api`. Importing it loads neither torch nor napari nor Qt. Everything here is "
        "public; what is not on this page may change.\n",
    ]
    rest = tuple(name for name in api.__all__ if name not in {one for group in GROUPS.values() for one in group})
    for title, names in (GROUPS | ({"More": rest} if rest else {})).items():
        objects = [name for name in names if callable(getattr(api, name))]
        parts += [f"## {title}\n", summary(f"napari_restore.api.{name}" for name in objects)]
        constants = [(f"`{name}`", f"`{getattr(api, name)!r}`") for name in names if name not in objects]
        if constants:
            parts.append(table(("constant", "value"), *constants) + "\n")
    parts += [
        "## What the functions return\n",
        "Most of these can be printed. Make them by the functions above, and not yourself.\n",
        summary(RETURNED),
        "## Errors\n",
        "All errors derive from `napari_restore.errors.RestoreError`. [Troubleshooting](../troubleshooting.md) has an "
        "entry for each.\n",
        summary(f"napari_restore.errors.{name}" for name in errors.__all__ if name != "in_window"),
        "## Metrics\n",
        "Functions that compare images, for your own measurements.\n",
        summary(f"napari_restore.quality.{name}" for name in quality_names()),
    ]
    return "\n".join(parts)


def quality_names() -> list[str]:
    """Return the public functions of `napari_restore.quality`."""
    from napari_restore import quality

    return sorted(name for name in quality.__all__ if callable(getattr(quality, name)))


def summary(names: Any) -> str:
    """Return the directive that makes a page for each name."""
    listed = "\n".join(f"   {name}" for name in names)
    options = ".. autosummary::\n   :toctree: generated\n   :nosignatures:\n"
    return f"```{{eval-rst}}\n{options}\n{listed}\n```\n"


PAGES = {"command-line.md": command_line, "model-cards.md": model_cards, "api.md": api_page}


def write() -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write()

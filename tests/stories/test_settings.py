"""One schema: what is added to it is found in the api, on the command line and in the documentation."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path

import docstring_parser.numpydoc
import pytest
import typer
from extra_setting import NAME, SENTENCE, extra_setting
from typer.testing import CliRunner

from napari_restore import api, cli
from napari_restore.api import settings as settings_module
from napari_restore.api.write_settings import plain_type, settings_entry, settings_tables, settings_type
from napari_restore.engine.planning.recipe import make_recipe, settings

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--axes --level --series --img-range --mean --tile --halo --blend --padding --intensity --range --noise --dtype "
    "--precision --backend --device --batch --workers --on-error --fsync --lanes --memory --pyramid "
    "--no-pyramid --ome-version --chunks --shards --valid-range --fill-values --neighbours --threads"
)
"""Scripts have these."""


def settings_class() -> type:
    """`Settings` as it would be written now."""
    names = dict(vars(settings_module))
    exec(settings_type(), names)
    return typing.cast(type, names["Settings"])


@pytest.fixture
def added() -> typing.Iterator[None]:
    with extra_setting():
        yield


def test_what_is_written_is_up_to_date() -> None:
    advice = "run `python -m napari_restore.api.write_settings`"
    assert settings_type().strip() in inspect.getsource(settings_module), advice
    assert settings_tables() in (ROOT / "docs/settings.md").read_text(encoding="utf-8"), advice
    for function in with_settings():
        assert settings_entry() in inspect.getsource(inspect.unwrap(function)), advice


def with_settings() -> list[Callable[..., object]]:
    """Public functions that take the settings by keyword."""
    functions = [getattr(api, name) for name in api.__all__ if inspect.isroutine(getattr(api, name))]
    return [function for function in functions if "settings" in inspect.signature(function).parameters]


def test_help_describes_every_setting_of_every_function() -> None:
    assert len(with_settings()) > 5
    for function in with_settings():
        described = {
            entry.arg_name: entry for entry in docstring_parser.numpydoc.parse(inspect.getdoc(function)).params
        }
        for name, setting in settings().items():
            if name != "model":
                assert described[name].type_name == plain_type(setting.takes), (function, name)
                assert " ".join(str(described[name].description).split()) == setting.description, (function, name)
        assert {"model"} <= described.keys()


def test_settings_are_those_of_a_recipe() -> None:
    assert list(typing.get_type_hints(api.Settings)) == [name for name in settings() if name != "model"]
    assert api.DENOISER in settings()["model"].otherwise


def test_a_setting_that_is_added_is_found_everywhere(added: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_recipe(model="m", sharpness=0.5).model_dump()[NAME] == 0.5
    written = settings_class()
    assert NAME in typing.get_type_hints(written) and SENTENCE in (written.__doc__ or "")
    row = next(line for line in settings_tables().splitlines() if line.startswith(f"| `{NAME}` |"))
    for word in ("float", "lines per pixel", SENTENCE, "as it comes", "`--sharpness`"):
        assert word in row
    for command in ("denoise", "upscale", "batch"):
        shown = " ".join(CliRunner().invoke(cli.app, [command, "--help"]).output.replace("│", " ").split())
        assert "--sharpness" in shown and "How sharp the result becomes (lines per pixel)" in shown
    given: dict[str, object] = {}
    monkeypatch.setattr("napari_restore.cli.restoring._run", lambda *_, settings, **__: given.update(settings))
    assert CliRunner().invoke(cli.app, ["denoise", "a.tif", "b.zarr", "--sharpness", "0.5"]).exit_code == 0
    assert given == {NAME: 0.5}


def test_it_is_gone_again() -> None:
    assert NAME not in settings() and NAME not in make_recipe(model="m").model_dump()


def options(command: typing.Any) -> list[typing.Any]:
    found: list[typing.Any] = command.get_params(typer.Context(command))
    return found


@pytest.mark.parametrize("command", ["denoise", "upscale", "batch"])
def test_flags_stay(command: str) -> None:
    params = options(typer.main.get_command(cli.app).commands[command])  # type: ignore[attr-defined]
    flags = {flag for option in params for flag in (*option.opts, *option.secondary_opts)}
    assert set(FLAGS.split()) <= flags
    assert {flag for name, said in settings().items() if name != "model" for flag in said.flags} <= flags


def test_other_commands_have_the_settings_that_they_need() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    models = commands["models"].commands
    for command, names in (
        (commands["info"], {"axes", "level", "series", "allow_outside", "device"}),
        (commands["demo"], {"device"}),
        (models["inspect"], {"img_range", "mean"}),
        (models["convert"], {"img_range", "mean"}),
    ):
        assert {option.name for option in options(command)} & (settings().keys() - {"model"}) == names


def test_what_is_left_out_is_left_out_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, object]] = []
    monkeypatch.setattr("napari_restore.cli.restoring._run", lambda *_, settings, **__: given.append(settings))
    for words in ([], ["--pyramid", "--level", "0", "--range", "0,1", "9,8", "--tile", "64"]):
        assert CliRunner().invoke(cli.app, ["denoise", "a.tif", "b.zarr", *words]).exit_code == 0
    assert given == [{}, {"pyramid": True, "level": 0, "value_range": ((0, 9), (1, 8)), "tile": 64}]


def test_ranges_of_channels_that_do_not_agree_are_refused() -> None:
    result = CliRunner().invoke(cli.app, ["denoise", "a.tif", "b.zarr", "--range", "0,1", "9"])
    assert "--range has 2, 1 numbers" in str(result.exception)

"""Every block of code in README and docs works: Python is run, commands are parsed by the program's own parser."""

from __future__ import annotations

import configparser
import contextlib
import doctest
import io
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import pytest
import tifffile
import typer
import zarr
from markdown_it import MarkdownIt
from pages import PAGES, ROOT

from napari_restore import cli

LANGUAGES = {"python", "sh", "text", "output", ""}
NOT_RUN = re.compile(r"\*Not run by our tests: .+\.\*")
"""Line before a block of Python that the tests cannot run; readers see it too."""
LONG = "<!-- long -->"
"""Line before a block of Python that `tox -e docs` and `tox -e long` run."""


class Block(NamedTuple):
    """A block of code in a page; `before` is the last line of text above it."""

    page: Path
    line: int
    language: str
    code: str
    before: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = []
    for token in MarkdownIt().parse(text):
        if token.type in ("fence", "code_block") and token.map is not None:
            above = [line for line in lines[: token.map[0]] if line.strip()]
            language = token.info.strip().partition(" ")[0]
            found.append(Block(page, token.map[0] + 1, language, token.content, above[-1] if above else ""))
    return [block for block in found if not block.language.startswith("{")]  # directives of Sphinx


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def test_there_are_many() -> None:
    assert len(PAGES) > 30 and len(BLOCKS) > 60
    assert sum(block.language == "python" for block in BLOCKS) > 20


def test_languages_are_known() -> None:
    assert [(block.where, block.language) for block in BLOCKS if block.language not in LANGUAGES] == []


# Python


def python_pages() -> Iterator[Any]:
    """Pages with Python: in the default run without the blocks that take long, and then with them."""
    for page in PAGES:
        blocks = [block for block in BLOCKS if block.page == page and block.language == "python"]
        name = page.relative_to(ROOT).as_posix()
        if any(block.before != LONG and not NOT_RUN.fullmatch(block.before) for block in blocks):
            yield pytest.param(page, False, id=name)
        if any(block.before == LONG for block in blocks):
            yield pytest.param(page, True, id=f"{name}-long", marks=pytest.mark.long)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Small images under the names that the pages use."""
    rng = np.random.default_rng(0)

    def image(*shape: int) -> np.ndarray[Any, Any]:
        ramp = np.linspace(20, 120, shape[-1])
        return rng.poisson(np.broadcast_to(ramp, shape)).astype(np.uint16)

    folder = tmp_path_factory.mktemp("inputs")
    tifffile.imwrite(folder / "cells.tif", image(96, 96))
    tifffile.imwrite(folder / "cells.ome.tif", image(2, 48, 48), metadata={"axes": "CYX"})
    for day in ("day1", "day2"):
        (folder / day).mkdir()
        tifffile.imwrite(folder / day / "x.tif", image(48, 48))
    brain = zarr.open_group(folder / "brain.zarr", mode="w")
    brain.create_array("0", data=image(3, 64, 64), chunks=(1, 64, 64))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    brain.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    stack = image(2, 48, 48)
    return {"folder": folder, "stack": stack, "dask_array": da.from_array(stack[None, None])}


def given(inputs: dict[str, Any]) -> dict[str, Any]:
    """Names that pages use and do not define, because readers have their own images."""
    from napari_restore import api

    arrays = {name: inputs[name] for name in ("stack", "dask_array")}
    return {"__name__": "page", "api": api, "source": "brain.zarr", "output": "restored.zarr", **arrays}


@pytest.mark.parametrize(("page", "long"), list(python_pages()))
def test_python(
    page: Path, long: bool, inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(inputs["folder"], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names, printed = given(inputs), ""
    same = doctest.OutputChecker().check_output
    for block in (one for one in BLOCKS if one.page == page):
        if block.language == "output":
            assert same(block.code, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE), (block.where, printed)
        if block.language != "python" or NOT_RUN.fullmatch(block.before) or (block.before == LONG and not long):
            continue
        code = compile("\n" * block.line + block.code, block.where, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, names)
        printed = out.getvalue()


# Commands

TOX = configparser.ConfigParser()
TOX.read(ROOT / "tox.ini")
ENVIRONMENTS = {section.partition(":")[2] for section in TOX.sections()} | {"py311"}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def commands(code: str) -> Iterator[list[str]]:
    """Words of each command of a script."""
    for line in code.replace("\\\n", " ").splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:  # a line that is no command
            continue
        part: list[str] = []
        for word in [*words, ";"]:
            if set(word) <= set("&|;()"):
                while part and re.fullmatch(r"\w+=.*", part[0]):  # variables of one command
                    part = part[1:]
                if part:
                    yield part
                part = []
            else:
                part.append(word)


def wrong_with(words: list[str]) -> str:
    """Say what is wrong with a command; nothing if it is right, or of a program that we cannot check."""
    program, arguments = words[0].rpartition("/")[2], words[1:]
    if program == "napari-restore":
        return parsed(arguments)
    if re.fullmatch(r"python[\d.]*", program) and arguments[:1] == ["-m"]:
        module = arguments[1].replace(".", "/")
        known = module == "venv" or any((ROOT / f"{module}{end}").exists() for end in (".py", "/__main__.py"))
        return "" if known else f"no module {arguments[1]}"
    if program == "tox" and "-e" in arguments:
        asked = arguments[arguments.index("-e") + 1]
        return "" if asked in ENVIRONMENTS else f"no environment {asked}"
    if program != "pip":
        return ""
    listed = [found for word in arguments for found in re.findall(r"\[([\w,-]+)\]", word)]
    unknown = {name for names in listed for name in names.split(",")} - EXTRAS.keys()
    return f"no extra {unknown}" if unknown else ""


@cache
def command_line() -> Any:
    """The parser of the command line."""
    return typer.main.get_command(cli.app)


def parsed(arguments: list[str]) -> str:
    """Say what the parser of the command line says of arguments."""
    command = command_line()
    while arguments and hasattr(command, "commands") and arguments[0] in command.commands:
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if hasattr(command, "commands"):
        return "" if not arguments or arguments == ["--help"] else f"no command {arguments[0]}"
    if "--help" in arguments:
        return ""
    try:
        command.make_context(command.name, list(arguments))
    except Exception as error:  # of the parser, whose classes differ between versions of typer
        return f"{type(error).__name__}: {error}"
    return ""


def test_commands() -> None:
    seen = 0
    wrong = []
    for block in BLOCKS:
        if block.language not in ("sh", ""):
            continue
        for words in commands(block.code):
            seen += words[0].endswith("napari-restore")
            said = wrong_with(words)
            if said:
                wrong.append((block.where, " ".join(words), said))
    assert wrong == [] and seen > 30


@pytest.mark.parametrize(
    "line",
    ["napari-restore denoise a.tif", "napari-restore denoise a.tif b.zarr --no-such", "napari-restore denois a b",
     "x=1 .venv/bin/napari-restore verify", "cd x && python -m benchmarks.nothing", "tox -e nothing",
     'pip install ".[nothing]"', "napari-restore upscale a.tif b.zarr --scale two"],
)  # fmt: skip
def test_wrong_commands_are_found(line: str) -> None:
    assert any(wrong_with(words) for words in commands(line))

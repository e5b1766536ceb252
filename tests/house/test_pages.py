"""The pages of docs/: what is generated is up to date, links lead somewhere, and every error has its entry."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from markdown_it import MarkdownIt
from packaging.version import Version
from pages import DOCS, PAGES, ROOT

from napari_restore import api, errors

TROUBLE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


def script(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What is generated


@pytest.mark.parametrize("name", ["api.md", "command-line.md", "model-cards.md"])
def test_references_are_up_to_date(name: str) -> None:
    if name == "command-line.md" and Version(metadata.version("typer")) < Version("0.29"):
        pytest.skip("typer names the types of options since 0.29")
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == script("write_pages").PAGES[name](), "run `python docs/write_pages.py`"


def test_every_public_name_is_in_the_reference() -> None:
    page = (DOCS / "reference/api.md").read_text(encoding="utf-8")
    listed = re.findall(r"napari_restore\.api\.(\w+)|^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(a or b for a, b in listed) == sorted(api.__all__)


def test_figures_are_up_to_date() -> None:
    figures = script("figures").FIGURES
    assert len(figures) > 3
    for name, figure in figures.items():
        assert (DOCS / "images" / name).read_text(encoding="utf-8") == figure(), "run `python docs/figures.py`"


def test_extras_of_users_are_described() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (DOCS / "reference/extras.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows.keys() == project["optional-dependencies"].keys() - {"dev", "docs", "lint", "test", "test-napari"}
    for extra, row in rows.items():
        for requirement in project["optional-dependencies"][extra]:
            package = re.split(r"[>\[]", requirement)[0]
            assert package in row.lower() or package == "napari-restore", (extra, package)


# Links


@cache
def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub and MyST make them."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    headings = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    found = []
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        for part in token.children or []:
            target = part.attrs.get("href") or part.attrs.get("src")
            found += [str(target)] if target else []
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_there_are_links() -> None:
    assert sum(len(links(page)) for page in PAGES) > 150


def test_every_page_is_listed() -> None:
    """In a table of contents of the site, so that readers find it."""
    listed = {(DOCS / "index.md").resolve()}
    for page in PAGES:
        for contents in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            names = [line for line in contents.splitlines() if line.strip() and not line.startswith(":")]
            listed |= {(page.parent / f"{name}.md").resolve() for name in names}
    pages = {page for page in PAGES if page.is_relative_to(DOCS)}
    assert pages - listed == set()
    assert {page.relative_to(DOCS).as_posix() for page in listed - pages} == {"gallery_pages/index.md"}


# Tests and benchmarks


def test_what_shows_a_promise_exists() -> None:
    """Tests and benchmarks that docs/survival.md names, by path, by file name, or by `path::function`."""
    page = (DOCS / "survival.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:[\w/]*/)?test_\w+\.py)?(?:::(test_\w+))?`|`((?:tests|benchmarks)/[\w/.]*)`", page)
    tests = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
    assert sum(bool(function) for _, function, _ in named) > 40
    path = ROOT
    for file, function, place in named:
        if file:
            path = ROOT / file if "/" in file else tests[file]
        assert (ROOT / place).exists() and path.exists(), file or place
        assert not function or f"def {function}(" in path.read_text(encoding="utf-8"), (path, function)


# Errors

_ENTRY = re.compile(r"^- (`[^`]+`(?:, `[^`]+`)*):", re.MULTILINE)
"""An entry of a message: quoted parts of it, and then what to do."""


def test_every_error_has_an_entry() -> None:
    headings = set(re.findall(r"^## (?:[\w ]+: )?(\w+)$", TROUBLE, re.MULTILINE))
    assert {name for name in errors.__all__ if name[0].isupper()} - headings == set()


@cache
def texts() -> list[str]:
    """All texts of the package, with a mark where a value is put in."""
    found = []
    for path in sorted((ROOT / "napari_restore").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_quoted_messages_are_in_the_code() -> None:
    quoted = [part for entry in _ENTRY.findall(TROUBLE) for part in re.findall(r"`([^`]+)`", entry)]
    assert len(quoted) > 60
    gone = []
    for message in quoted:
        pattern = re.compile(".*?".join(re.escape(part.strip()) for part in message.split("…")), re.DOTALL)
        if not any(pattern.search(text) for text in texts()):
            gone.append(message)
    assert gone == []


def test_the_comparison_has_a_date_and_its_programs() -> None:
    page = (DOCS / "comparison.md").read_text(encoding="utf-8")
    assert re.search(r"^Checked on \d{1,2} \w+ 20\d\d,", page, re.MULTILINE)
    for program in ("CAREamics", "Aydin", "Cellpose 3", "spandrel", "chaiNNer", "bioimageio.core", "deepinv", "ngio"):
        assert f"**{program}" in page, program

"""What CONTRIBUTING.md says of rooms, modules and tests is so, and the files that texts name are there."""

from __future__ import annotations

import re
from pathlib import Path

from pages import PAGES, ROOT

MODULES = [file for room in ("napari_restore", "benchmarks", "tests") for file in sorted((ROOT / room).rglob("*.py"))]
ROOMS = sorted({file.parent for file in MODULES if not file.is_relative_to(ROOT / "tests")})
TEXTS = [
    *PAGES, *ROOT.glob("tests/**/*.md"), *ROOT.glob("*.ini"), *ROOT.glob("*.toml"), ROOT / ".importlinter",
    *ROOT.glob("docs/*.py"), *ROOT.glob("docs/gallery/*.py"), *MODULES,
]  # fmt: skip
ACROSS = {"stories", "house", "oracle", "makers", "earlier", "ngff"}
"""Folders of tests that go through several modules, or look at the repository itself."""
LINES, IN_A_ROOM = 400, 12


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_modules_are_short() -> None:
    lines = {name(file): len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert len(lines) > 200
    assert {file: count for file, count in lines.items() if count > LINES} == {}


def test_rooms_are_small() -> None:
    counts = {name(room): len([file for file in room.glob("*.py") if file.name != "__init__.py"]) for room in ROOMS}
    assert len(counts) > 20
    assert {room: count for room, count in counts.items() if count > IN_A_ROOM} == {}


def test_every_room_says_what_it_is() -> None:
    for room in ROOMS:
        assert (room / "__init__.py").read_text(encoding="utf-8").startswith('"""'), name(room)


def test_tests_mirror_the_package() -> None:
    tests = [file.relative_to(ROOT / "tests") for file in MODULES if file.name.startswith("test_")]
    of_one_module = [test for test in tests if not ACROSS.intersection(test.parts)]
    assert len(of_one_module) > 50
    alone = []
    for test in of_one_module:
        tested = test.parent / test.stem.removeprefix("test_")
        places = [ROOT / "napari_restore" / tested, ROOT / tested]  # the benchmarks have tests as well
        if not any(place.with_suffix(".py").is_file() or (place / "__init__.py").is_file() for place in places):
            alone.append(test.as_posix())
    assert alone == []


def test_files_that_are_named_are_there() -> None:
    pattern = re.compile(r"(?<![\w/.:-])((?:tests|benchmarks|docs|napari_restore)/[\w./-]*\w)")
    named = {name(text): pattern.findall(text.read_text(encoding="utf-8")) for text in TEXTS}
    assert sum(map(len, named.values())) > 30
    gone = {(text, path) for text, paths in named.items() for path in paths if not any(ROOT.glob(f"{path}*"))}
    assert gone == set()


def test_names_with_dots_are_there() -> None:
    pattern = re.compile(r"(?<![\w/.-])napari_restore((?:\.[a-zA-Z]\w*)+)(?![\w./-]*[/@])")
    named = {(name(text), found) for text in TEXTS for found in pattern.findall(text.read_text(encoding="utf-8"))}
    assert len(named) > 500
    assert {(text, dotted) for text, dotted in named if not is_there(dotted.split(".")[1:])} == set()


def is_there(parts: list[str]) -> bool:
    """Whether a module of the package has this name, or a name in it."""
    place = ROOT / "napari_restore"
    while parts and (place / parts[0]).is_dir():
        place, parts = place / parts[0], parts[1:]
    if parts and (place / parts[0]).with_suffix(".py").is_file():
        place, parts = (place / parts[0]).with_suffix(".py"), parts[1:]
    module = place if place.is_file() else place / "__init__.py"
    words = set(re.findall(r"\w+", module.read_text(encoding="utf-8")))
    return not parts or parts[0] in words or (place / parts[0]).exists()

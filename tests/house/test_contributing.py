"""CONTRIBUTING.md shows the house as it is."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading, without its own head."""
    lines = PAGE.partition(f"\n{heading}\n")[2].partition("\n#")[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def is_defined(name: str, text: str) -> bool:
    return re.search(rf"^ *((async )?def|class) {name}\b|^{name}\b.*=", text, re.MULTILINE) is not None


def test_where_is_what() -> None:
    found = rows("### Where is what")
    assert len(found) >= 12
    wrong = []
    for question, module, names in found:
        file = ROOT / "napari_restore" / module.strip("`")
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        listed = re.findall(r"`(\w+)`", names)
        if not listed or not all(is_defined(name, text) for name in listed):
            wrong.append((question, module, names))
    assert wrong == []


def layers(contract: str) -> list[list[str]]:
    """Floors of a contract, each with its rooms."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    lines = contracts[f"importlinter:contract:{contract}"]["layers"].split("\n")
    return [re.findall(r"\w+", line) for line in lines if line]


def test_the_floors_are_those_of_the_contract() -> None:
    picture = PAGE.partition("## Where things are")[2].partition("\nThree rooms")[0]
    drawn = [
        re.findall(r"(?:^| )(\w+)(?:/|\.py)(?= |$)", line) for line in picture.splitlines() if line.startswith("    ")
    ]
    assert drawn == layers("floors")


def test_the_rooms_are_those_of_the_contracts() -> None:
    for contract, package in (("engine", "engine"), ("widgets", "widgets"), ("images_rooms", "images")):
        table = PAGE.partition(f"\n| `{package}/` | |\n|---|---|\n")[2].partition("\n\n")[0]
        drawn = [re.findall(r"`(\w+)(?:/|\.py)`", line.split("|")[1]) for line in table.splitlines()]
        assert [set(floor) for floor in drawn] == [set(floor) for floor in layers(contract)]


def test_words_are_in_order_and_mean_one_thing() -> None:
    words = [row[0] for row in rows("## Words")]
    assert len(words) > 30
    assert words == sorted(set(words))

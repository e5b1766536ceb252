from __future__ import annotations

import re
from pathlib import Path

import pytest

import napari_restore
from napari_restore.wording import counted, human_bytes, human_duration, human_shape

PACKAGE = Path(napari_restore.__file__).parent


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (1.4, "1 s"), (99.4, "99 s"), (99.6, "2 min"), (840, "14 min"), (7169, "119 min"), (7170, "2.0 h"),
     (11_500, "3.2 h"), (172_799, "48.0 h"), (172_800, "2.0 days"), (1e7, "115.7 days")],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert human_duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1.0 kB"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (7.5e9, "7.5 GB"), (4.1e14, "410.0 TB")],
)  # fmt: skip
def test_sizes(count: float, words: str) -> None:
    assert human_bytes(count) == words


def test_counts_and_shapes() -> None:
    assert [counted(n, "lane") for n in (0, 1, 2)] == ["0 lanes", "1 lane", "2 lanes"]
    assert human_shape("ZYX", (40, 2048, 2048)) == "Z 40 · Y 2048 · X 2048"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nobody_else_writes_sizes(path: Path) -> None:
    """A number that is divided to gigabytes, or to hours, within the text it is written in."""
    hand_made = re.compile(r"\{[^{}]*/ ?(1e[369]|10\*\*[369]|_?GB|_?MB|3600|86400)\b[^{}]*\}")
    text = path.read_text(encoding="utf-8")
    found = [match.group() for match in hand_made.finditer(text)]
    rates = [match for match in found if "per_" in match or "pixels" in match]  # megapixels a second are no size
    assert path.name == "wording.py" or found == rates

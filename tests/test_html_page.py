from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np

from napari_restore.html_page import Html, chart, escaped, fragment, heading, listed, page, paragraph, picture, table

EVIL = "<script>alert('1')</script>\"&"


class Tags(HTMLParser):
    """Open and closed tags, and the text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.shown = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in {"img", "meta", "path", "polyline"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"path", "polyline"}:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


def everything(text: str) -> Html:
    pixels = np.zeros((4, 6), np.uint8)
    lines = {text: [(0.0, 1.0), (2.0, 3.0)], "model": [(0.0, 0.0)]}
    return page(
        text, heading(text), paragraph(text), listed([text]), table([(text, text)], (text, text)), table([(text, 1)]),
        picture(pixels, text), chart(lines, text, text, text),
    )  # fmt: skip


def test_all_text_is_escaped() -> None:
    made = Tags(everything(EVIL))
    assert "script" not in made.seen and made.open == []
    assert made.shown.count(EVIL) == 14


def test_html_is_not_escaped_twice() -> None:
    assert escaped(escaped("a < b")) == "a &lt; b" and escaped(None) == ""
    assert "<p>" in table([("name", paragraph("text"))])


def test_a_page_loads_nothing_from_elsewhere() -> None:
    made = everything("cells")
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,)', made) == []
    assert "default-src 'none'" in made and len(made) < 8000


def test_charts_begin_at_zero_and_end_at_the_largest_value() -> None:
    made = chart({"rate": [(0.0, 2.0), (10.0, 4.0)]}, "seconds", "tiles/s")
    (line,) = re.findall(r'points="([^"]*)"', made)
    (x0, y0), (x1, y1) = ((float(n) for n in point.split(",")) for point in line.split())
    assert x0 < x1 and y1 == 10 and y0 == 10 + (200 - 34 - 10) / 2
    assert "no figures" in chart({}, "x", "y", "nothing")


def test_a_fragment_has_its_style() -> None:
    assert "<style>" in fragment(paragraph("text"))

"""Write HTML: descriptions for a notebook, and pages in one file with their pictures. All text is escaped."""

from __future__ import annotations

__all__ = [
    "Html",
    "chart",
    "escaped",
    "fragment",
    "heading",
    "listed",
    "page",
    "paragraph",
    "picture",
    "pictures_in",
    "table",
]

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STYLE = (
    ".nr{font:14px/1.45 system-ui,sans-serif;max-width:75em}"
    ".nr table{border-collapse:collapse;margin:.4em 0}"
    ".nr td,.nr th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top;border-bottom:1px solid #8884}"
    ".nr figure{display:inline-block;margin:.5em 1em .5em 0;vertical-align:top}"
    ".nr figcaption{max-width:28em;opacity:.8}.nr img{image-rendering:pixelated}"
)
_WIDTH, _HEIGHT, _LEFT, _BELOW = 420, 200, 56, 34  # of a chart, and of the room for its numbers, in pixels
_COLOURS = ("#3b76c4", "#d1622b", "#4d9a4d")


class Html(str):
    """Text that is HTML, and is not escaped again."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Return a value as HTML: `Html` unchanged, None as nothing, anything else as escaped text.

    Parameters
    ----------
    value : object
        The value.
    """
    if isinstance(value, Html):
        return value
    return Html("" if value is None else html.escape(str(value)))


def heading(text: object, level: int = 2) -> Html:
    """Return a heading.

    Parameters
    ----------
    text : object
        Its text.
    level : int
        1 for the title of a page, to 6.
    """
    return Html(f"<h{level}>{escaped(text)}</h{level}>")


def paragraph(text: object) -> Html:
    """Return a paragraph.

    Parameters
    ----------
    text : object
        Its text.
    """
    return Html(f"<p>{escaped(text)}</p>")


def listed(items: Iterable[object]) -> Html:
    """Return a list.

    Parameters
    ----------
    items : iterable of object
        Text of each item.
    """
    return Html(f"<ul>{''.join(f'<li>{escaped(item)}</li>' for item in items)}</ul>")


def table(rows: Iterable[Sequence[object]], headings: Sequence[object] = ()) -> Html:
    """Return a table; without headings, the first cell of each row is one.

    Parameters
    ----------
    rows : iterable of sequences
        Cells of each row, text or `Html`.
    headings : sequence, optional
        Cells of the first line.
    """
    first = "td" if headings else "th"
    lines = [f"<tr>{''.join(f'<th>{escaped(cell)}</th>' for cell in headings)}</tr>"] if headings else []
    for row in rows:
        cells = (
            f"<{kind}>{escaped(cell)}</{kind}>" for cell, kind in zip(row, (first, *["td"] * len(row)), strict=False)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return Html(f"<table>{''.join(lines)}</table>")


def picture(pixels: NDArray[np.uint8], caption: object = "", width: int | None = None) -> Html:
    """Return a picture with a caption, stored in the page itself.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (Y, X) or (Y, X, 3)
        Gray or RGB.
    caption : object
        Text below it, which is its alternative text as well.
    width : int, optional
        Width on screen, in pixels; that of the picture if None.
    """
    import imagecodecs

    data = base64.b64encode(imagecodecs.png_encode(pixels)).decode("ascii")
    return _figure(width or pixels.shape[1], caption, data)


_FIGURE = re.compile(r'<figure><img width="(\d+)" alt="([^"]*)" src="data:image/png;base64,([A-Za-z0-9+/=]+)">')


def pictures_in(text: str) -> Html:
    """Return the pictures of a page that `picture` made, and nothing else of it.

    Parameters
    ----------
    text : str
        The page, which may have been changed.
    """
    return Html("".join(_figure(int(width), html.unescape(alt), data) for width, alt, data in _FIGURE.findall(text)))


def _figure(width: int, caption: object, data: str) -> Html:
    image = f'<img width="{width}" alt="{escaped(caption)}" src="data:image/png;base64,{data}">'
    return Html(f"<figure>{image}<figcaption>{escaped(caption)}</figcaption></figure>")


def chart(lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str, caption: object = "") -> Html:
    """Return a line chart as SVG; the axis upwards begins at 0.

    Parameters
    ----------
    lines : mapping of str to sequence of (float, float)
        Points of each line by its name, in order; all numbers are finite.
    across, up : str
        Names of the axes.
    caption : object
        Text below the chart.
    """
    points = [point for line in lines.values() for point in line]
    if not points:
        return paragraph(f"{caption}: no figures")
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    top = max(max(y for _, y in points), 1e-12)
    width = (high - low) or 1.0

    def at(x: float, y: float) -> str:
        right = _LEFT + (x - low) / width * (_WIDTH - _LEFT - 10)
        return f"{right:.1f},{(1 - max(y, 0) / top) * (_HEIGHT - _BELOW - 10) + 10:.1f}"

    bottom, middle = _HEIGHT - _BELOW, (_WIDTH + _LEFT) // 2
    texts = [
        (_LEFT - 6, bottom, "end", "0"), (_LEFT - 6, 16, "end", f"{top:.3g}"),
        (_LEFT, bottom + 14, "middle", f"{low:.3g}"),
        (_WIDTH - 10, bottom + 14, "end", f"{high:.3g}"), (middle, bottom + 28, "middle", across),
        (_LEFT - 6, bottom // 2 + 8, "end", up),
    ]  # fmt: skip
    drawn = [f'<path d="M{_LEFT} 10V{bottom}H{_WIDTH - 10}" fill="none" stroke="currentColor"/>']
    drawn += [f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escaped(text)}</text>' for x, y, anchor, text in texts]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(at(x, y) for x, y in line)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        drawn.append(
            f'<text x="{_WIDTH - 12}" y="{22 + 14 * number}" text-anchor="end" fill="{colour}">{escaped(name)}</text>'
        )
    svg = (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" font-size="11" fill="currentColor" role="img" '
        f'aria-label="{escaped(caption)}">{"".join(drawn)}</svg>'
    )
    return Html(f"<figure>{svg}<figcaption>{escaped(caption)}</figcaption></figure>")


def fragment(*parts: Html) -> Html:
    """Join parts, with their style, for a notebook.

    Parameters
    ----------
    *parts : Html
        The parts.
    """
    return Html(f'<div class="nr"><style>{_STYLE}</style>{"".join(parts)}</div>')


def page(title: object, *parts: Html) -> Html:
    """Return a whole page in one file, which loads nothing and runs nothing.

    Parameters
    ----------
    title : object
        Title of the page.
    *parts : Html
        Its content.
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return Html(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><title>{escaped(title)}</title></head>'
        f"<body>{fragment(*parts)}</body></html>\n"
    )

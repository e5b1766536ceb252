"""Write the report of a run as a page: Markdown, and HTML with the same sections and pictures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_restore.engine.compute.fusion_counts import merged_counts
from napari_restore.html_page import Html, chart, heading, listed, paragraph, table
from napari_restore.wording import counted, human_bytes, human_shape

__all__ = ["Section", "charts_of", "filled_regions", "html_of", "markdown_of", "report_sections"]

_SHOWN = 20
"""Number of filled regions, and of left-out pairs of planes, on the page; the JSON holds all."""
_FACTS = ("what", "is")
_SESSIONS = ("began", "ended", "how", "device", "blocks", "tiles/s", "retries", "versions")
_PLACES = ("place", "", "log10 p", "found by")
_NONE = Html("")


@dataclass(frozen=True)
class Section:
    """Section of a report: a table if it has headings, otherwise a list, or one sentence.

    Attributes
    ----------
    title : str
        Its heading.
    headings : tuple of str
        Headings of the columns.
    rows : tuple
        Rows of the table, or items of the list.
    sentence : str
        Text in place of an empty list.
    """

    title: str
    headings: tuple[str, ...] = ()
    rows: tuple[Any, ...] = ()
    sentence: str = ""


def markdown_of(sections: Sequence[Section]) -> str:
    """Write the sections of a report as Markdown that can be read as plain text too."""
    parts = []
    for number, section in enumerate(sections):
        parts.append(f"{'##' if number else '#'} {section.title}")
        if section.headings:
            lines = [section.headings, ["---"] * len(section.headings), *section.rows]
            parts.append("\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines))
        else:
            parts.append("\n".join(f"- {item}" for item in section.rows) or section.sentence)
    return "\n\n".join(parts) + "\n"


def html_of(sections: Sequence[Section], pictures: Html = _NONE) -> Html:
    """Write the sections of a report as HTML, with pictures after the first one."""
    parts: list[Html] = []
    for number, section in enumerate(sections):
        parts.append(heading(section.title, 2 if number else 1))
        rows = [[_told(cell) for cell in row] for row in section.rows] if section.headings else []
        parts.append(
            table(rows, () if section.headings == _FACTS else section.headings)
            if section.headings
            else listed(section.rows)
            if section.rows
            else paragraph(section.sentence)
        )
        if not number:
            parts.append(pictures)
    return Html("".join(parts))


def charts_of(report: dict[str, Any]) -> Html:
    """Draw the throughput of a run over time, and the histogram of what it removed, as far as the report has them."""
    charts = []
    for number, session in enumerate(report.get("sessions", ()), 1):
        if len(rates := session.get("rates", ())) > 1:
            steps = [
                ((a[0] + b[0]) / 2, (b[1] - a[1]) / (b[0] - a[0])) for a, b in itertools.pairwise(rates) if b[0] > a[0]
            ]
            charts.append(chart({"": steps}, "seconds", "tiles/s", f"throughput of session {number}"))
    removed = report.get("removed") or {}
    if removed.get("centres"):
        lines = {"removed": list(zip(removed["centres"], removed["density"], strict=True))}
        unit = "units of the data"
        if removed["noise"]:
            normal = [math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) for x in removed["centres"]]
            lines["noise alone"] = list(zip(removed["centres"], normal, strict=True))
            unit = "standard deviations of the noise"
        told = f"divided by {removed['noise']}" if removed["noise"] else "the noise could not be estimated"
        charts.append(chart(lines, unit, "density", f"histogram of what was removed; {told}"))
    if removed.get("error"):
        charts.append(paragraph(f"There are no pictures: {removed['error']}"))
    return Html("".join(charts))


def _told(cell: Any) -> Any:
    """Return a cell without the signs of Markdown."""
    return cell.replace("**", "") if isinstance(cell, str) else cell


def _cell(value: Any) -> str:
    return str("" if value is None else value).replace("|", "\\|").replace("\n", " ")


def report_sections(report: dict[str, Any]) -> list[Section]:
    """Return the sections of the report of a run.

    Parameters
    ----------
    report : dict
        The report, as `napari_restore.engine.record.report_file` stores it.
    """
    source, result, model = report["source"], report["result"], report["model"]
    first = report.get("denoiser")
    fusion = merged_counts(session.get("neighbours") for session in report["sessions"])
    left_out = fusion["left_out"] if fusion else []
    facts = [
        ("state", _state(report)),
        ("source", f"{source['location'] or source['name']}: {human_shape(source['axes'], source['shape'])}, "
         f"{source['dtype']}, metadata SHA-256 {source['metadata_sha256'][:16]}"),
        ("model", f"{model['name']}, SHA-256 {model['sha256'][:16]}"),
        *((("denoiser", f"{first['name']}, SHA-256 {first['sha256'][:16]}"),) if first else ()),
        ("result", f"{human_shape(source['axes'], result['shape'])}, {result['dtype']}, "
         f"{human_bytes(result['bytes'])} uncompressed, {result['blocks']} blocks, {result['levels']} levels"),
        *((("neighbours", _neighbours(fusion)),) if fusion else ()),
        ("throughput", _throughput(report["sessions"])),
        *(("labels and tables", told) for told in report.get("copied", ())),
        ("seams", _seams(report["seams"])),
        ("verification", _verification(report["verification"])),
        ("trust", _trust(report.get("assessment"), str(report["output"]))),
        ("fingerprint", report["fingerprint"][:16]),
        *(("note", note) for note in source.get("notes", ())),
        *(("warning", warning) for warning in report.get("warnings", ())),
    ]  # fmt: skip
    filled = filled_regions(report)
    settings = tuple((name, value) for name, value in report["recipe"].items() if value is not None)
    averaged = [Section("Neighbouring planes that were not averaged", rows=_listed(left_out))] if left_out else []
    return [
        Section(str(report["output"]), _FACTS, tuple(facts)),
        Section("Sessions", _SESSIONS, tuple(_session_row(session) for session in report["sessions"])),
        Section(
            "Filled regions",
            rows=_listed(filled),
            sentence="None: all pixels of the source that were needed could be read.",
        ),
        *averaged,
        *_places(report.get("assessment")),
        Section("Recipe", ("setting", "value"), settings),
    ]


def filled_regions(report: dict[str, Any]) -> list[str]:
    """Return the filled regions, in words: from the marks of the result or, before a run has ended, from its blocks."""
    if report["filled"] is None:
        return [region for session in report["sessions"] for region in session["filled"]]
    return [f"block {index}: {region}" for index, regions in report["filled"].items() for region in regions]


def _state(report: dict[str, Any]) -> str:
    last = report["sessions"][-1]
    done, total = last["blocks_before"] + last["blocks"], report["result"]["blocks"]
    filled = len(filled_regions(report))
    state = f"{_end(last)}, {done} of {total} blocks"
    if not filled:
        return state
    verb = "was" if filled == 1 else "were"
    return f"{state}; **{counted(filled, 'region')} of the source could not be read and {verb} filled**"


def _end(session: dict[str, Any]) -> str:
    """Return how a session ended. A session without an end is running, or was killed."""
    if session["how"] is None:
        return f"no end is recorded (running, or killed or out of disk space after {session['seen']})"
    return f"{session['how']}: {session['message']}" if session["message"] else str(session["how"])


def _throughput(sessions: list[dict[str, Any]]) -> str:
    seconds = sum(session["seconds"] for session in sessions)
    if not seconds:
        return "nothing was computed"
    tiles, pixels = (sum(session[key] for session in sessions) for key in ("tiles", "pixels"))
    return f"{tiles / seconds:.2f} tiles/s, {pixels / seconds / 1e6:.3g} megapixels of the result per second"


def _seams(seams: dict[str, Any] | None) -> str:
    if seams is None:
        return "not measured: the run is not complete"
    if "error" in seams:
        return f"could not be measured: {seams['error']}"
    if seams["ratio"] is None:
        return "no seam in the measured planes"
    return (
        f"gradient at seams {seams['ratio']:.3f} of that elsewhere, and, to compare, half-way between seams "
        f"{seams['between']:.3f}; in {seams['windows']} windows"
    )


def _verification(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not verified since the last block was stored"
    bad = ", ".join(f"{len(found[kind])} {kind}" for kind in ("missing", "damaged", "differing") if found[kind])
    state = "sound" if found["ok"] else bad or "metadata or fingerprint were changed"
    return f"{state}, {found['units']} objects read back and {found['recomputed']} computed again on {found['when']}"


def _trust(found: dict[str, Any] | None, output: str) -> str:
    if found is None:
        return f"not assessed: Trust in napari, or `napari-restore assess SOURCE {output}`, finds places to look at"
    return f"{found['line']} Assessed on {found['when']}: {found['location']}"


def _places(found: dict[str, Any] | None) -> list[Section]:
    """Return the section of the places where more than noise was removed, or something was added."""
    if found is None or not found["places"]:
        return []
    rows = tuple(tuple(place[name] for name in ("where", "what", "log10_p", "kind")) for place in found["places"])
    title = "Where to look"
    if found["place_count"] > len(rows):
        title += f": the least probable {len(rows)} of {found['place_count']} places"
    return [Section(title, _PLACES, rows)]


def _session_row(session: dict[str, Any]) -> tuple[Any, ...]:
    rate = f"{session['tiles'] / session['seconds']:.2f}" if session["seconds"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in session["versions"].items())
    device = f"{session['device']} on {session['host']}"
    return (
        session["began"],
        session["ended"],
        _end(session),
        device,
        session["blocks"],
        rate,
        session["retries"],
        versions,
    )


def _neighbours(fusion: dict[str, Any]) -> str:
    """Describe the mean weight of each neighbouring plane, and the noise that is left."""
    weights = ", ".join(f"{name} {found['mean']:.2f}" for name, found in fusion["weights"].items())
    left = f"; pairs of planes that were not averaged: {len(fusion['left_out'])}" if fusion["left_out"] else ""
    planes = f"mean weight of neighbouring planes {weights}" if weights else "no plane has neighbours"
    return f"{planes}; noise falls to {fusion['noise_left']['mean']:.2f} of that of one plane{left}"


def _listed(items: list[str]) -> tuple[str, ...]:
    more = (f"... and {len(items) - _SHOWN} more, in the JSON",) if len(items) > _SHOWN else ()
    return (*items[:_SHOWN], *more)

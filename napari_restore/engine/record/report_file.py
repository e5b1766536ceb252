"""Files of a report: JSON, a page in Markdown, and the same page in HTML with pictures.

The report of ``cells.zarr`` is ``cells.zarr.report.json``, ``.md`` and ``.html``. It is not stored in the result, so
that two runs with the same pixels store the same bytes.
"""

from __future__ import annotations

import json
import logging
import tempfile
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_restore.engine.record.page import Section, charts_of, html_of, markdown_of, report_sections
from napari_restore.errors import OutputError
from napari_restore.html_page import Html, fragment, page, pictures_in
from napari_restore.images.staging import Stage
from napari_restore.images.store import Folder, Place, place_of

__all__ = [
    "FORMAT",
    "RunReport",
    "add_to_report",
    "now",
    "read_content",
    "read_report",
    "report_place",
    "write_report",
]

_log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the JSON format."""


@dataclass(frozen=True)
class RunReport:
    """Report of a run or batch, as it was stored. ``str(report)`` is the page; a notebook shows it with pictures.

    Attributes
    ----------
    place : str
        Path or URL of the JSON file.
    content : dict
        Content of the JSON file.
    sections : tuple of Section
        Sections of the page.
    """

    place: str
    content: dict[str, Any]
    sections: tuple[Section, ...]

    @property
    def page(self) -> str:
        """The report as Markdown."""
        return markdown_of(self.sections)

    @property
    def html(self) -> str:
        """The report as one HTML file, with pictures if the run made any."""
        return page(self.sections[0].title, self._body())

    def open(self) -> str:
        """Show the report in a web browser, and return the path of the page.

        It is the HTML file beside the result, which is brought up to date; of a result in an object store or a
        folder that cannot be written, a copy in the folder of temporary files.
        """
        place = self.place.removesuffix(".json")
        folder, name = _kept_at(place)
        file = Path(f"{place}.html")
        try:
            if not isinstance(folder, Folder):
                raise OSError
            content = self.html.encode()
            if folder.get(f"{name}.html") != content:
                folder.put(f"{name}.html", content)
        except (OSError, OutputError):
            file = Path(tempfile.mkdtemp(prefix="napari-restore-"), f"{name}.html")
            file.write_bytes(self.html.encode())
        webbrowser.open(file.resolve().as_uri())
        return str(file)

    def _body(self) -> Html:
        pictures = _stored_pictures(self.place.removesuffix(".json"))
        return html_of(self.sections, Html(pictures + charts_of(self.content)))

    def _repr_html_(self) -> str:
        return fragment(self._body())

    def __str__(self) -> str:
        return self.page


def _stored_pictures(place: str) -> Html:
    folder, name = _kept_at(place)
    try:
        return pictures_in((folder.get(f"{name}.html") or b"").decode(errors="replace"))
    except (OSError, OutputError):
        return Html("")


def report_place(output: Path | str) -> str:
    """Return the path or URL of the report of a result, without an ending.

    The report is beside the result. For an image inside another Zarr, such as a field of a plate, it is in a folder of
    reports beside the outermost Zarr.

    Examples
    --------
    >>> report_place("s3://bucket/cells.zarr"), report_place("s3://bucket/plate.zarr/A/1/0")
    ('s3://bucket/cells.zarr.report', 's3://bucket/plate.zarr.reports/A/1/0')
    """
    place = place_of(output)
    location, outermost = place.location, place.outermost_zarr()
    name = location.as_posix() if isinstance(location, Path) else location
    return f"{name}.report" if name == outermost else f"{outermost}.reports{name[len(outermost) :]}"


def now() -> str:
    """Return the present time as text, in UTC and whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _kept_at(place: str) -> tuple[Place, str]:
    """Return the folder or prefix of a report, and its name in it without an ending."""
    folder, _, name = place.rpartition("/")
    return place_of(folder or "/"), name


def _write_text(place: str, ending: str, text: str, stage: Stage | None) -> None:
    """Write one of the files of a report atomically. Through a stage, no folder above it may be a link."""
    content = text.encode(errors="backslashreplace")  # file names may hold bytes that are not Unicode
    if stage is not None:  # what a killed run leaves in its stage is deleted with its lock
        stage.put(Path(f"{place}{ending}"), content)
        return
    folder, name = _kept_at(place)
    folder.put(f"{name}{ending}", content)


def read_content(place: str) -> dict[str, Any] | None:
    """Read the JSON of a report, or return None if there is none or it cannot be read."""
    try:
        folder, name = _kept_at(place)
        content = json.loads(folder.get(f"{name}.json") or b"null")
    except (OSError, ValueError, OutputError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def read_report(output: Path | str) -> RunReport:
    """Read the report of a run.

    Parameters
    ----------
    output : Path or str
        The result, a path or URL.

    Raises
    ------
    OutputError
        If it has no report.
    """
    place = report_place(output)
    content = read_content(place)
    if content is None or "sessions" not in content:
        raise OutputError(
            f"there is no report of {output} at {place}.json; give the path of a result of this package, or of the "
            "folder of a batch. A plate is in the report of its batch, and each of its fields has a report."
        )
    return RunReport(f"{place}.json", content, tuple(report_sections(content)))


def write_report(
    place: str,
    content: dict[str, Any],
    sections: Callable[[dict[str, Any]], list[Section]] = report_sections,
    stage: Stage | None = None,
    pictures: Html | None = None,
    *,
    html: bool = False,
) -> None:
    """Write the files of a report, through a stage if there is one. An error is logged and not raised.

    Parameters
    ----------
    place : str
        Path or URL without ``.json``; see `report_place`.
    content : dict
        What is reported.
    sections : callable
        Returns the sections of the page.
    stage : Stage, optional
        Stage through which a report on a disk is written.
    pictures : Html, optional
        Pictures of the page; those of the HTML file that is there if None.
    html : bool
        Whether to write the HTML file as well.
    """
    try:
        _write_text(place, ".json", json.dumps(content, indent=1, allow_nan=False), stage)
        made = sections(content)
        _write_text(place, ".md", markdown_of(made), stage)
        if html:
            shown = _stored_pictures(place) if pictures is None else pictures
            _write_text(place, ".html", page(made[0].title, html_of(made, Html(shown + charts_of(content)))), stage)
    except Exception as error:  # file systems and object stores raise errors of many types
        _log.warning("the report %s.json cannot be written: %s", place, error)


def add_to_report(output: Path | str, name: str, entry: dict[str, Any], **other: Any) -> None:
    """Write what was found of a result into its report, if it has one, and the time.

    Parameters
    ----------
    output : Path or str
        The result, a path or URL.
    name : str
        Name of the entry.
    entry : dict
        What was found.
    **other : object
        Other entries that are replaced.
    """
    place = report_place(output)
    content = read_content(place)
    if content is not None:
        write_report(place, {**content, name: {"when": now(), **entry}, **other}, html=True)

"""Report of a batch of images: ``batch.report.json`` in the folder of the results, and a page to read."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from napari_restore.engine.record.page import Section, filled_regions
from napari_restore.engine.record.report_file import FORMAT, RunReport, now, read_content, read_report, write_report
from napari_restore.errors import OutputError

__all__ = ["BatchReport", "batch_place", "batch_sections", "read_batch_report"]

FLUSH = 5.0
"""Seconds between two writes of the report."""
_COLUMNS = ("result", "state", "source", "shape", "tiles/s", "retries", "filled", "seams", "between")


def batch_place(folder: Path | str) -> str:
    """Return the path or URL of the report of a batch of images, without ``.json`` or ``.md``."""
    return f"{str(folder).rstrip('/')}/batch.report"


def read_batch_report(folder: Path | str) -> RunReport | None:
    """Read the report of a batch of images.

    Parameters
    ----------
    folder : Path or str
        Folder of the results, a path or URL.

    Returns
    -------
    RunReport or None
        None if there is no report.
    """
    place = batch_place(folder)
    content = read_content(place)
    return None if content is None else RunReport(f"{place}.json", content, tuple(batch_sections(content)))


class BatchReport:
    """Report of a batch of images, written while it runs. Images of earlier batches in the same folder stay in it.

    Parameters
    ----------
    folder : Path or str
        Folder of the results, a path or URL.
    settings : dict
        Model and settings, as JSON types.
    """

    def __init__(self, folder: Path | str, settings: dict[str, Any]) -> None:
        self.place = batch_place(folder)
        earlier = read_content(self.place) or {}
        self.content: dict[str, Any] = {
            "format": FORMAT,
            "folder": str(folder),
            "began": now(),
            "ended": None,
            "settings": settings,
            "shared_range": earlier.get("shared_range"),
            "images": earlier.get("images", {}),
        }
        self._written = 0.0

    def share_range(self, ranges: list[list[float]]) -> None:
        """Record the value range that all images share, also for images that are added later.

        Parameters
        ----------
        ranges : list of list of float
            Lower and upper end for each channel, in data units.
        """
        self.content["shared_range"] = ranges
        self._write()

    def image(self, name: str, source: str, output: Path | str, state: str, message: str | None = None) -> None:
        """Record the outcome of an image.

        Parameters
        ----------
        name : str
            Name of the result in the folder.
        source : str
            Path or URL of the image.
        output : Path or str
            Its result.
        state : {"done", "skipped", "failed"}
            "skipped": it was restored by an earlier batch.
        message : str, optional
            Why it failed.
        """
        kept = self.content["images"].get(name, {})
        facts = _facts(output) if state != "failed" else {}
        self.content["images"][name] = {
            **kept, **facts, "source": source, "state": "done" if state == "skipped" else state, "message": message,
            "when": kept.get("when", now()) if state == "skipped" else now(),
        }  # fmt: skip
        if time.monotonic() - self._written > FLUSH:
            self._write()

    def end(self) -> None:
        """Record the end of the batch, and write the report."""
        self.content["ended"] = now()
        self._write(html=True)

    def _write(self, *, html: bool = False) -> None:
        self._written = time.monotonic()
        write_report(self.place, self.content, batch_sections, html=html)


def _facts(output: Path | str) -> dict[str, Any]:
    """Return figures from the report of an image."""
    try:
        content = read_report(output).content
    except OutputError:
        return {}
    sessions = content["sessions"]
    seconds, tiles = (sum(session[key] for session in sessions) for key in ("seconds", "tiles"))
    return {
        "shape": content["result"]["shape"],
        "bytes": content["result"]["bytes"],
        "seconds": seconds,
        "tiles_per_second": tiles / seconds if seconds else None,
        "retries": sum(session["retries"] for session in sessions),
        "filled": len(filled_regions(content)),
        "seams": (content["seams"] or {}).get("ratio"),
        "between": (content["seams"] or {}).get("between"),
        "value_range": content["recipe"]["value_range"],
        "fingerprint": content["fingerprint"],
    }


def batch_sections(content: dict[str, Any]) -> list[Section]:
    """Return the sections of the report of a batch: first failures, then a row for each image."""
    images: dict[str, dict[str, Any]] = content["images"]
    counts = Counter(image["state"] for image in images.values())
    state = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no image"
    shared = content["shared_range"]
    facts = [
        ("state", f"{state}; began {content['began']}, " + _ended(content)),
        ("value range", "one for each image" if shared is None else f"one for all: {json.dumps(shared)}"),
        *((name, value) for name, value in content["settings"].items() if value is not None),
    ]
    failed = [(name, image["source"], image["message"]) for name, image in images.items() if image["state"] == "failed"]
    return [
        Section(str(content["folder"]), ("what", "is"), tuple(facts)),
        *([Section("Failed", ("result", "source", "why"), tuple(failed))] if failed else []),
        Section("Images", _COLUMNS, tuple(_row(name, image) for name, image in images.items())),
    ]


def _ended(content: dict[str, Any]) -> str:
    return f"ended {content['ended']}" if content["ended"] else "no end is recorded (running, or killed)"


def _row(name: str, image: dict[str, Any]) -> tuple[Any, ...]:
    shape = " x ".join(map(str, image.get("shape", ())))
    rate, seams, between = (
        None if image.get(key) is None else f"{image[key]:.2f}" for key in ("tiles_per_second", "seams", "between")
    )
    return name, image["state"], image["source"], shape, rate, image.get("retries"), image.get("filled"), seams, between

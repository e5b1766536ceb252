"""What is kept of a run beside its result: a JSON file, and a page to read.

The report of ``cells.zarr`` is ``cells.zarr.report.json`` and ``cells.zarr.report.md``. It stands beside the result and
not in it: a Zarr holds what Zarr knows, and two runs that store the same bytes differ in nothing but their reports.
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import socket
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from napari_restore import __version__
from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.recipe import digest
from napari_restore.engine.record.page import report_page
from napari_restore.engine.record.seams import measure_seams
from napari_restore.engine.run.local import Stages, run_here
from napari_restore.engine.store.filled import read_marks
from napari_restore.engine.store.progress import Progress
from napari_restore.errors import OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.store import place_of

if TYPE_CHECKING:
    from napari_restore.engine.store.sinks import OmeZarrSink
    from napari_restore.images.image import Image

__all__ = [
    "RunReport",
    "Session",
    "now",
    "read_content",
    "read_report",
    "report_place",
    "reported",
    "write_report",
]

_log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the JSON."""
FLUSH = 5.0
"""Seconds after which what is known is written: so much of a session is lost when it is killed."""
_AT_ONCE = 1000
"""Filled places up to which each is written at once."""


@dataclass(frozen=True)
class RunReport:
    """The report of a run, as it was kept; `str` of it is the page.

    Attributes
    ----------
    place
        Path or URL of the JSON file.
    content
        What is in it.
    page
        It, to be read: Markdown.
    """

    place: str
    content: dict[str, Any]
    page: str

    def __str__(self) -> str:
        return self.page


def report_place(output: Path | str) -> str:
    """Where the report of a result stands, without ``.json`` or ``.md``.

    Beside the result; for an image inside another Zarr, such as a field of a plate, in a folder of reports beside the
    outermost one.

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
    """Give the time as text: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def read_content(place: str) -> dict[str, Any] | None:
    """Read the JSON of a report; None where there is none, or none that can be read."""
    folder, _, name = place.rpartition("/")
    try:
        content = json.loads(place_of(folder).get(f"{name}.json") or b"null")
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def read_report(output: Path | str) -> RunReport:
    """Read the report that was kept of a run.

    Raises
    ------
    OutputError
        If there is none.
    """
    place = report_place(output)
    content = read_content(place)
    if content is None or "sessions" not in content:
        raise OutputError(
            f"there is no report of {output} at {place}.json; give the path of a result of this package, or of the "
            "folder of a batch. A plate is in its batch's report, and each field has one."
        )
    return RunReport(f"{place}.json", content, report_page(content))


def write_report(
    place: str,
    content: dict[str, Any],
    page: Callable[[dict[str, Any]], str] = report_page,
    stage: Stage | None = None,
) -> None:
    """Write JSON and page, through a stage if one is given. A report that cannot be written ends no run."""
    folder, _, name = place.rpartition("/")
    try:
        for ending in ("json", "md"):
            text = page(content) if ending == "md" else json.dumps(content, indent=1, allow_nan=False)
            # A name may be none that Unicode has.
            place_of(folder).put(f"{name}.{ending}", text.encode(errors="backslashreplace"), stage)
    except Exception as error:  # whatever the file system or the object store says
        _log.warning("the report %s.json cannot be written: %s", place, error)


def _versions() -> dict[str, str]:
    found = {"napari-restore": __version__, "python": platform.python_version()}
    for name in ("torch", "zarr", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a build of another name
            found[name] = "unknown"
    return found


def _described(image: Image) -> dict[str, Any]:
    """Say what a source is, with the digest of all that its metadata tell."""
    metadata = {
        "axes": image.canonical,
        "shape": list(image.shape),
        "dtype": image.dtype.name,
        "pixel_size": dict(image.pixel_size),
        "origin": dict(image.origin),
        "units": dict(image.units),
        "channels": [[channel.name, channel.color, repr(channel.window)] for channel in image.channels],
    }
    shown = {key: metadata[key] for key in ("axes", "shape", "dtype", "pixel_size", "units")}
    notes = {"notes": list(image.notes)} if image.notes else {}
    return {"location": image.location, "name": image.name, **shown, **notes, "metadata_sha256": digest(metadata)}


def _device_name(device: Device) -> str:
    if not device.is_cuda:
        return f"{device} ({os.cpu_count()} cores, {platform.machine()})"
    import torch

    # On a cluster the device is one of its workers', and this machine may have none.
    return f"{device} ({torch.cuda.get_device_name(str(device))})" if torch.cuda.is_available() else str(device)


class Session:
    """One go at a run, written to its report as it goes on: what a killed one had done stays, without an end.

    Use it with ``with``: it ends as the block inside it does.

    Parameters
    ----------
    plan
        The run.
    output
        The result, made already.
    keep
        What the report says of earlier sessions stays even where none of their blocks is there any more.
    stage
        What it is written through, where the output is on a disk.
    """

    def __init__(self, plan: Plan, output: Path | str, *, keep: bool = False, stage: Stage | None = None) -> None:
        self.stage = stage
        self.plan, self.output, self.place, self.keep = plan, output, report_place(output), keep
        self._content: dict[str, Any] = {}
        self._session: dict[str, Any] = {}
        self._written = 0.0

    def note(self, event: Progress) -> None:
        """Take in an event of the run; the session begins with the first that has work behind it."""
        if not self._session:
            if event.stage == "restoring" and event.done == event.total and read_content(self.place) is not None:
                return
            self._begin(event)
        self._session["seconds" if event.stage == "restoring" else "pyramid_seconds"] = round(event.seconds, 3)
        if time.monotonic() - self._written > FLUSH:
            self._flush()

    def block(self, receipt: Receipt) -> None:
        """Take in the receipt of a block."""
        session = self._session
        session["blocks"] += 1
        session["tiles"] += receipt.tiles
        session["pixels"] += math.prod(s.stop - s.start for s in self.plan.region(receipt.index))
        session["retries"] += receipt.retries
        session["failures"] += receipt.failures[: _AT_ONCE - len(session["failures"])]
        session["filled"] += receipt.filled
        for key, value in (("blocks_by_worker", receipt.worker), ("blocks_by_batch", f"{receipt.batch} tiles")):
            session[key][value] = session[key].get(value, 0) + 1
        if receipt.filled and len(session["filled"]) <= _AT_ONCE:
            self._flush()

    def _begin(self, event: Progress) -> None:
        recipe = self.plan.recipe
        # Where coarser levels alone were missing, the first event counts their units, and all blocks are there.
        before = event.done if event.stage == "restoring" else self.plan.blocks
        self._session = {
            "began": now(), "seen": now(), "ended": None, "how": None, "message": None,
            "host": socket.gethostname(), "pid": os.getpid(), "device": _device_name(self.plan.device),
            "batch": recipe.batch, "workers": recipe.workers, "versions": _versions(), "platform": platform.platform(),
            "blocks_before": before, "blocks": 0, "tiles": 0, "pixels": 0, "seconds": 0.0, "pyramid_seconds": 0.0,
            "retries": 0, "failures": [], "filled": [], "blocks_by_worker": {}, "blocks_by_batch": {},
        }  # fmt: skip
        earlier = read_content(self.place) or {}
        sessions = earlier.get("sessions", []) if earlier.get("fingerprint") == self.plan.fingerprint else []
        if before == 0 and not self.keep and any(session["blocks"] for session in sessions):
            sessions = []  # of a result that was replaced or deleted
        self._content = {
            **self._run(),
            "sessions": [*sessions, self._session],
            "filled": None,
            "seams": None,
            "verification": None,
        }
        self._flush()

    def _run(self) -> dict[str, Any]:
        """Give what all sessions of a run have in common."""
        plan = self.plan
        return {
            "format": FORMAT,
            "output": str(self.output),
            "fingerprint": plan.fingerprint,
            "source": _described(plan.image),
            "model": plan.card.model_dump(mode="json", include={"name", "title", "licence", "sha256"}),
            "recipe": plan.recipe.as_json(),
            "result": {
                "shape": list(plan.shape), "dtype": plan.dtype.name, "bytes": plan.output_bytes,
                "blocks": plan.blocks, "block": list(plan.block), "levels": plan.levels,
            },
        }  # fmt: skip

    def _flush(self) -> None:
        self._session["seen"] = now()
        self._written = time.monotonic()
        write_report(self.place, self._content, stage=self.stage)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._session:
            return
        how = "finished" if kind is None else "failed" if issubclass(kind, Exception) else "stopped"
        self._session.update(ended=now(), how=how, message=str(error) if how == "failed" else None)
        self._content["filled"] = self._filled()
        if how == "finished":
            self._content["seams"] = self._seams()
        self._flush()

    def _filled(self) -> dict[str, list[str]] | None:
        """Read what the result says of filled places: it knows of those too whose receipt was lost when a run ended."""
        try:
            marks = read_marks(self.output)
        except Exception:  # the result is not there any more, or cannot be read
            return None
        return {unit.name: list(reasons) for unit, reasons in marks.items()}

    def _seams(self) -> dict[str, Any]:
        try:
            return asdict(measure_seams(self.plan, self.output))
        except Exception as error:  # the run is done: what cannot be read is for `verify` to find
            return {"error": str(error)}


def reported(
    plan: Plan, sink: OmeZarrSink, stages: Stages = run_here, *, keep: bool = False
) -> Generator[Progress, None, None]:
    """Carry out a plan into an OME-Zarr, and keep the report of it.

    Parameters
    ----------
    plan
        The run.
    sink
        The result.
    stages
        How: here, or on a cluster.
    keep
        See `Session`.

    Yields
    ------
    Progress
        What `stages` yields.

    Raises
    ------
    RestoreError
        See `run_blocks` and `build_pyramid`.
    """
    with (
        Session(plan, sink.path, keep=keep, stage=sink.stage) as session,
        closing(stages(plan, sink, session.block)) as events,
    ):
        for event in events:
            session.note(event)
            yield event

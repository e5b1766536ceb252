"""Record a run in the report beside its result, while it runs (`napari_restore.engine.record.report_file`)."""

from __future__ import annotations

import math
import os
import platform
import socket
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from napari_restore import __version__
from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.compute.fusion_counts import merged_counts
from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.record.pictures import pictures_of
from napari_restore.engine.record.report_file import FORMAT, now, read_content, report_place, write_report
from napari_restore.engine.record.seams import measure_seams
from napari_restore.engine.record.source_watch import SourceWatch
from napari_restore.engine.run.local import Stages, run_here
from napari_restore.engine.store.annotations import copy_annotations_of_run
from napari_restore.engine.store.filled import read_marks
from napari_restore.engine.store.progress import Progress
from napari_restore.errors import SourceLost
from napari_restore.fingerprint import digest
from napari_restore.html_page import Html
from napari_restore.images.staging import Stage

if TYPE_CHECKING:
    from napari_restore.engine.store.sinks import OmeZarrSink
    from napari_restore.images.image import Image
    from napari_restore.models.card import ModelCard

__all__ = ["Session", "reported"]

FLUSH = 5.0
"""Seconds between two writes. A killed session loses the records of this time."""
_SECONDS = {"restoring": "seconds", "pyramid": "pyramid_seconds", "copying": "copying_seconds"}
"""Key of a session for the seconds of each stage."""
_RATES = 60
"""Points of the throughput over time; every second one is left out where there are twice as many."""
_AT_ONCE = 1000
"""Number of filled regions up to which the report is written immediately for each, and of failures that are kept."""


def _versions() -> dict[str, str]:
    found = {"napari-restore": __version__, "python": platform.python_version()}
    for name in ("torch", "zarr", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a build that is distributed under another name
            found[name] = "unknown"
    return found


def _described(image: Image) -> dict[str, Any]:
    """Return a description of a source, with the digest of all its metadata."""
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


def _identified(card: ModelCard) -> dict[str, Any]:
    """Return what identifies a model, as JSON types."""
    return card.model_dump(mode="json", include={"name", "title", "licence", "sha256"})


def _device_name(device: Device) -> str:
    if not device.is_cuda:
        return f"{device} ({os.cpu_count()} cores, {platform.machine()})"
    import torch

    # On a cluster, the device is one of a worker, and this machine may have none.
    return f"{device} ({torch.cuda.get_device_name(str(device))})" if torch.cuda.is_available() else str(device)


class Session:
    """Record of one session of a run, written to the report while it runs. A killed session stays without an end.

    It is a context manager: the session ends with the ``with`` statement, and records its error.

    Parameters
    ----------
    plan : Plan
        The run.
    output : Path or str
        The result, which has been created.
    keep : bool
        Keep earlier sessions in the report even if none of their blocks is stored any more.
    stage : Stage, optional
        The stage of an output on a disk, through which the report is written.
    """

    def __init__(self, plan: Plan, output: Path | str, *, keep: bool = False, stage: Stage | None = None) -> None:
        self.stage = stage
        self.plan, self.output, self.place, self.keep = plan, output, report_place(output), keep
        self.copied: list[str] = []  # labels and tables, in words
        self._content: dict[str, Any] = {}
        self._session: dict[str, Any] = {}
        self._written = 0.0

    def note(self, event: Progress) -> None:
        """Record an event of the run. The session starts with the first event, unless the run has nothing to do."""
        if not self._session:
            if event.stage == "restoring" and event.done == event.total and read_content(self.place) is not None:
                return
            self._begin(event)
        self._session[_SECONDS[event.stage]] = round(event.seconds, 3)
        if event.stage == "restoring":
            rates = self._session["rates"]
            rates.append([round(event.seconds, 3), event.tiles_done])
            if len(rates) > 2 * _RATES:
                del rates[1::2]
        if time.monotonic() - self._written > FLUSH:
            self._flush()

    def block(self, receipt: Receipt) -> None:
        """Record the receipt of a block."""
        session = self._session
        session["blocks"] += 1
        session["tiles"] += receipt.tiles
        session["pixels"] += math.prod(s.stop - s.start for s in self.plan.region(receipt.index))
        session["retries"] += receipt.retries
        session["failures"] += receipt.failures[: _AT_ONCE - len(session["failures"])]
        session["filled"] += receipt.filled
        session["neighbours"] = merged_counts((session["neighbours"], receipt.fusion))
        for key, value in (("blocks_by_worker", receipt.worker), ("blocks_by_batch", f"{receipt.batch} tiles")):
            session[key][value] = session[key].get(value, 0) + 1
        if receipt.filled and len(session["filled"]) <= _AT_ONCE:
            self._flush()

    def _begin(self, event: Progress) -> None:
        recipe = self.plan.recipe
        # If only coarser levels are missing, the first event counts their write units, and all blocks are stored.
        before = event.done if event.stage == "restoring" else self.plan.blocks
        self._session = {
            "began": now(), "seen": now(), "ended": None, "how": None, "message": None,
            "host": socket.gethostname(), "pid": os.getpid(), "device": _device_name(self.plan.device),
            "batch": recipe.batch, "workers": recipe.workers, "versions": _versions(), "platform": platform.platform(),
            "blocks_before": before, "blocks": 0, "tiles": 0, "pixels": 0, "seconds": 0.0, "pyramid_seconds": 0.0,
            "retries": 0, "failures": [], "filled": [], "blocks_by_worker": {}, "blocks_by_batch": {},
            "neighbours": None, "rates": [[0.0, 0]],
        }  # fmt: skip
        earlier = read_content(self.place) or {}
        sessions = earlier.get("sessions", []) if earlier.get("fingerprint") == self.plan.fingerprint else []
        if before == 0 and not self.keep and any(session["blocks"] for session in sessions):
            sessions = []  # they belong to a result that was replaced or deleted
        self._content = {
            **self._run(),
            "sessions": [*sessions, self._session],
            "copied": earlier.get("copied", []) if sessions else [],
            "filled": None,
            "seams": None,
            "removed": None,
            "verification": None,
            "assessment": earlier.get("assessment") if sessions and before == self.plan.blocks else None,
        }
        self._flush()

    def _run(self) -> dict[str, Any]:
        """Return the part of the report that all sessions of a run share."""
        plan = self.plan
        return {
            "format": FORMAT,
            "output": str(self.output),
            "fingerprint": plan.fingerprint,
            "source": _described(plan.image),
            "model": _identified(plan.card),
            **({"denoiser": _identified(plan.card.first)} if plan.card.first else {}),
            "recipe": plan.recipe.as_json(),
            **({"warnings": list(plan.warnings)} if plan.warnings else {}),
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
        self._content["copied"] = [*self._content["copied"], *self.copied]
        pictures = None
        if how == "finished":
            self._content["seams"] = self._seams()
            pictures = self._pictures()
        write_report(self.place, self._content, stage=self.stage, pictures=pictures, html=True)

    def _filled(self) -> dict[str, list[str]] | None:
        """Read the filled regions from the marks of the result; receipts may have been lost when a run was killed."""
        try:
            marks = read_marks(self.output)
        except Exception:  # the result was deleted, or cannot be read
            return None
        return {unit.name: list(reasons) for unit, reasons in marks.items()}

    def _pictures(self) -> Html:
        try:
            made = pictures_of(self.plan, self.output)
        except Exception as error:  # the run is complete all the same
            self._content["removed"] = {"error": str(error)}
            return Html("")
        self._content["removed"] = made.removed
        return made.html

    def _seams(self) -> dict[str, Any]:
        try:
            return asdict(measure_seams(self.plan, self.output))
        except Exception as error:  # the run is complete; `verify` finds objects that cannot be read
            return {"error": str(error)}


def reported(
    plan: Plan, sink: OmeZarrSink, stages: Stages = run_here, *, keep: bool = False
) -> Generator[Progress, None, None]:
    """Run a plan into an OME-Zarr, and write its report.

    Parameters
    ----------
    plan : Plan
        The run.
    sink : OmeZarrSink
        The result.
    stages : Stages
        The function that runs the plan, on this machine or on a cluster.
    keep : bool
        See `Session`.

    Yields
    ------
    Progress
        The events of `stages`.

    Raises
    ------
    RestoreError
        See `run_blocks` and `build_pyramid`.
    SourceChanged
        If the source was replaced or changed during the run.
    """
    watch = SourceWatch(plan, sink)

    def record(receipt: Receipt) -> None:
        watch.block(receipt)
        session.block(receipt)

    with (
        Session(plan, sink.path, keep=keep, stage=sink.stage) as session,
        closing(stages(plan, sink, record)) as events,
    ):
        try:
            for event in chain(events, copy_annotations_of_run(plan, sink.path, sink.stage, session.copied)):
                session.note(event)
                yield event
        except (SourceLost, MemoryError):
            raise
        except Exception as error:
            watch.check(error)
            raise
        watch.check()

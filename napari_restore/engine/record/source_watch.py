"""Compare the source at the end of a run with the source at its start, and mark the blocks that are in doubt.

A file can be replaced or changed while a run reads it. The result would then be a mixture of two images, and nothing
would show it.
"""

from __future__ import annotations

import logging
import os
import stat

from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.planning.plan import Block, Plan
from napari_restore.engine.planning.source_identity import crop_digests, differing_crops
from napari_restore.engine.store.filled import IN_DOUBT, write_mark
from napari_restore.engine.store.sinks import OmeZarrSink
from napari_restore.errors import OutputError, SourceChanged
from napari_restore.images.image import Image
from napari_restore.images.store import place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.ways_out import REPLACE

__all__ = ["SourceWatch"]

_NAMED = 10
"""Number of blocks that a message lists, at most."""

_log = logging.getLogger(__name__)


class SourceWatch:
    """The source of a run that is in progress.

    Parameters
    ----------
    plan : Plan
        The run.
    sink : OmeZarrSink
        The result.
    """

    def __init__(self, plan: Plan, sink: OmeZarrSink) -> None:
        self._plan, self._sink = plan, sink
        self._stamp = _stamp(plan.image)
        self._blocks: list[Block] = []
        self._after_change: list[Block] = []

    def block(self, receipt: Receipt) -> None:
        """Record a block that is stored, and whether the file had changed by then."""
        self._blocks.append(receipt.index)
        if self._stamp is not None and _stamp(self._plan.image) != self._stamp:
            self._after_change.append(receipt.index)

    def check(self, cause: Exception | None = None) -> None:
        """Compare crops of the source with those at the start of the run.

        Parameters
        ----------
        cause : Exception or None
            Error that ended the run.

        Raises
        ------
        SourceChanged
            If they differ. The blocks in doubt are marked: `verify` lists them, and a run of the same command with the
            first source computes them again.
        """
        doubtful = self._after_change or self._blocks
        if not doubtful:
            return
        known = self._known()
        differing = differing_crops(known, crop_digests(self._plan.image))
        name = self._plan.image.location or self._plan.image.name
        if not differing:
            if self._after_change:
                _log.warning(
                    "%s was written to during the run; the pixels of the %d regions compared are the same",
                    name, len(known),
                )  # fmt: skip
            return
        reason = f"{IN_DOUBT}: the source was replaced or changed during the run"
        for index in doubtful:
            write_mark(place_of(self._sink.path), self._plan.unit_of(index), [reason], self._sink.stage)
        listed = ", ".join(map(str, doubtful[:_NAMED])) + (", ..." if len(doubtful) > _NAMED else "")
        raise SourceChanged(
            f"{name} was replaced or changed while this run read it: other pixels in {len(differing)} of {len(known)} "
            f"regions compared, such as {self._plan.axes} {differing[0]}. {len(doubtful)} blocks of {self._sink.path} "
            f"are in doubt, and `verify` lists them: {listed}. Put the first source back and run the same again, which "
            "computes these blocks again; or restore the new source to another output",
            REPLACE.after("or "),
        ) from cause

    def _known(self) -> dict[str, str]:
        """Return the digests of the source at the start of the result."""
        try:
            there = (ome_zarr.read_attributes(self._sink.path) or {}).get("source_crops")
        except OutputError:
            there = None
        return there or self._plan.source_crops


def _stamp(image: Image) -> tuple[int, int, int] | None:
    """Return inode, size and modification time of a source that is one file; None for other sources."""
    try:
        found = os.stat((image.location or "").partition("::")[0])
    except (OSError, ValueError):
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None

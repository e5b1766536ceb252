"""Batches: their images, their plan, and their progress."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from napari_restore.engine.store.progress import Progress
    from napari_restore.images.collection import Collection
    from napari_restore.ways_out import Face, WayOut

__all__ = ["BatchItem", "BatchPlan", "BatchProgress"]

State = Literal["new", "begun", "done", "impossible", "failed"]


@dataclass(frozen=True)
class BatchItem:
    """One image of a batch.

    Attributes
    ----------
    source : str
        Path or URL of the image.
    output : Path
        Path of its result.
    name : str
        Path of the result below the folder of all results.
    state : {"new", "begun", "done", "impossible", "failed"}
        "new": not started; "begun": interrupted, to be resumed; "done": complete, to be skipped; "impossible": cannot
        be restored, for the reason in `note`, such as a result that was made from other pixels; "failed": tried
        without success.
    note : WayOut or None
        Why the image is impossible or has failed; how much of its result is stored; for each interface.
    input_bytes, output_bytes : int
        Uncompressed size of the image and of its result, in bytes.
    copied_bytes : int
        Bytes of the labels and tables that are copied into the result.
    """

    source: str
    output: Path
    name: str
    state: State
    note: WayOut | None = None
    input_bytes: int = 0
    output_bytes: int = 0
    copied_bytes: int = 0

    @property
    def message(self) -> str:
        """The note for Python; "" if there is none."""
        return self.told("call")

    def told(self, face: Face) -> str:
        """Return the note for an interface.

        Parameters
        ----------
        face : {"call", "command", "window"}
            The interface.

        Returns
        -------
        str
            The note; "" if there is none.
        """
        return "" if self.note is None else str(getattr(self.note, face))


@dataclass(frozen=True)
class BatchPlan:
    """Plan of a batch, which `run_batch` carries out; print it.

    Attributes
    ----------
    folder : Path
        Folder of the results.
    items : tuple of BatchItem
        One item for each image.
    ignored : tuple of str
        Files of folders and patterns that are not images of a known format.
    model : str or Path
        Model for all images.
    settings : dict of str to object
        Settings for all images, by name.
    overwrite : bool
        Whether existing results are replaced.
    shared_range : bool
        Whether all images share one value range.
    collections : dict of Path to Collection
        Plates and collections, by the path of the new one.
    """

    folder: Path
    items: tuple[BatchItem, ...]
    ignored: tuple[str, ...]
    model: str | Path
    settings: dict[str, Any]
    overwrite: bool = False
    shared_range: bool = False
    collections: dict[Path, Collection] = field(default_factory=dict)

    def summary(self) -> str:
        """Summarise the plan in a few lines: number of images, bytes, and what is skipped."""
        from napari_restore.wording import human_bytes

        counts = Counter(item.state for item in self.items)
        to_do = [item for item in self.items if item.state in ("new", "begun")]
        copied = sum(item.copied_bytes for item in to_do)
        states = f"{counts['new']} new, {counts['begun']} begun, {counts['done']} done and skipped"
        rows = {
            "images": f"{len(self.items)}: {states}, {counts['impossible']} impossible",
            "ignored": f"{len(self.ignored)} files of other formats, or parts of an image in the list"
            if self.ignored
            else "",
            "read": f"{human_bytes(sum(item.input_bytes for item in to_do))} uncompressed",
            "written": f"{human_bytes(sum(item.output_bytes for item in to_do))} uncompressed"
            + (f", and {human_bytes(copied)} of labels and tables" if copied else "")
            + f", to {self.folder}",
            "model": str(self.model),
            "values": self._values(),
        }
        return "\n".join(f"{name:<11}{value}" for name, value in rows.items() if value)

    def _values(self) -> str:
        if self.settings.get("value_range") is not None:
            return f"{self.settings['value_range']} in all images, as given"
        if self.shared_range:
            return "one range for all images, estimated over all of them when the batch starts"
        return "one range for each image, estimated; shared_range (--shared-range) uses one for all images"

    def __str__(self) -> str:
        return self.told("call")

    def told(self, face: Face) -> str:
        """Return the summary and a line for each image, with the advice for an interface.

        Parameters
        ----------
        face : {"call", "command", "window"}
            The interface.

        Returns
        -------
        str
            The lines.
        """
        notes = [(item, item.told(face)) for item in self.items]
        lines = [f"{item.state:<11}{item.source} -> {item.name}" + (note and f": {note}") for item, note in notes]
        return "\n".join([self.summary(), "", *lines, *(f"{'ignored':<11}{path}" for path in self.ignored)])


@dataclass(frozen=True)
class BatchProgress:
    """Progress of a batch.

    Attributes
    ----------
    item : BatchItem
        The image in progress. In its last event it has the state "done" or "failed".
    number, total : int
        Position of the image, from 1, and number of images.
    event : Progress or None
        Progress of its run; None in the last event of an image.
    """

    item: BatchItem
    number: int
    total: int
    event: Progress | None = None

"""What a batch is: its images, what it would do, and where it stands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from napari_restore.engine.store.progress import Progress
    from napari_restore.images.collection import Collection

__all__ = ["BatchItem", "BatchPlan", "BatchProgress"]

State = Literal["new", "begun", "done", "impossible", "failed"]


@dataclass(frozen=True)
class BatchItem:
    """One image of a batch.

    Attributes
    ----------
    source, output
        Path or URL of the image, and of its result.
    name
        Of the result, below the folder of all results.
    state
        "new"; "begun", to be continued; "done" before, to be skipped; "impossible", for the reason in `message`, such
        as a result that was made of other pixels; or, once it was tried, "failed".
    message
        Why it is impossible or has failed; how much of it is there.
    input_bytes, output_bytes
        Uncompressed size of the image, and of its result.
    """

    source: str
    output: Path
    name: str
    state: State
    message: str = ""
    input_bytes: int = 0
    output_bytes: int = 0


@dataclass(frozen=True)
class BatchPlan:
    """What a batch would do: `print` it. `run_batch` does it.

    Attributes
    ----------
    folder
        Where the results go.
    items
        One for each image.
    ignored
        Files of folders and patterns that are no images of a known format.
    model, settings
        What each image is restored with.
    overwrite
        Whether results that are there are replaced.
    shared_range
        Whether one value range is used for all images.
    collections
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
        """Say it in a few lines: how many images, of how many bytes, and what is skipped."""
        from napari_restore.wording import human_bytes

        counts = Counter(item.state for item in self.items)
        to_do = [item for item in self.items if item.state in ("new", "begun")]
        states = f"{counts['new']} new, {counts['begun']} begun, {counts['done']} done and skipped"
        rows = {
            "images": f"{len(self.items)}: {states}, {counts['impossible']} impossible",
            "ignored": f"{len(self.ignored)} files of other formats, or of an image in the list"
            if self.ignored
            else "",
            "read": f"{human_bytes(sum(item.input_bytes for item in to_do))} uncompressed",
            "written": f"{human_bytes(sum(item.output_bytes for item in to_do))} uncompressed, to {self.folder}",
            "model": str(self.model),
            "values": self._values(),
        }
        return "\n".join(f"{name:<11}{value}" for name, value in rows.items() if value)

    def _values(self) -> str:
        if self.settings.get("value_range") is not None:
            return f"{self.settings['value_range']} in all images, as given"
        if self.shared_range:
            return "one range for all images, estimated over all of them when the batch begins"
        return "a range of each image by itself, estimated; shared_range (--shared-range) uses one for all"

    def __str__(self) -> str:
        lines = [
            f"{item.state:<11}{item.source} -> {item.name}" + (f": {item.message}" if item.message else "")
            for item in self.items
        ]
        return "\n".join([self.summary(), "", *lines, *(f"{'ignored':<11}{path}" for path in self.ignored)])


@dataclass(frozen=True)
class BatchProgress:
    """Where a batch stands.

    Attributes
    ----------
    item
        The image in work; as its last event it comes with the state "done" or "failed".
    number, total
        Which of how many images it is, from 1.
    event
        Of its run; None with the last event of an image.
    """

    item: BatchItem
    number: int
    total: int
    event: Progress | None = None

"""Plan and run a batch of files with the choices of a dock widget, without Qt."""

from __future__ import annotations

__all__ = ["BatchChoices", "find_batch", "state_in_words"]

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_restore import api
from napari_restore.errors import RecipeError, SourceError
from napari_restore.widgets.jobs.job import Choices, Task, check_task

if TYPE_CHECKING:
    from napari_restore.api import BatchItem, BatchPlan


@dataclass(frozen=True)
class BatchChoices:
    """What a batch restores, and where to.

    Attributes
    ----------
    sources : tuple of str
        Folders, patterns, files, OME-Zarrs and plates.
    folder : str
        Folder of the results.
    choices : Choices
        Settings for all images; the output of these choices is not used.
    task : str
        ``"denoise"`` or ``"super-resolve"``.
    overwrite : bool
        Whether existing results are replaced.
    shared_range : bool
        Whether all images share one value range.
    """

    sources: tuple[str, ...]
    folder: str
    choices: Choices
    task: Task
    overwrite: bool = False
    shared_range: bool = False


def find_batch(chosen: BatchChoices) -> Generator[BatchPlan, None, None]:
    """Find the images of a batch, and the state of each. Call this on a worker thread.

    Parameters
    ----------
    chosen : BatchChoices
        The batch.

    Yields
    ------
    BatchPlan
        The plan; `api.run_batch` carries it out.

    Raises
    ------
    RestoreError
        See `api.plan_batch`; also if a source or the folder is missing, or the model is for another task.
    """
    if not chosen.sources:
        raise SourceError("no images are named; add a folder, files or a pattern such as day*/*.tif.")
    if not chosen.folder:
        raise RecipeError("no folder is named for the results; choose one.")
    check_task(chosen.choices.card(), chosen.task)
    yield api.plan_batch(
        chosen.sources,
        chosen.folder,
        model=chosen.choices.model,
        overwrite=chosen.overwrite,
        shared_range=chosen.shared_range,
        **chosen.choices.settings(),
    )


def state_in_words(item: BatchItem) -> str:
    """Return the state of an image as a word or two, and why."""
    words = {
        "new": "waiting",
        "begun": "interrupted: will be resumed",
        "done": "done",
        "impossible": "not possible",
        "failed": "failed",
    }[item.state]
    note = item.told("window")
    return f"{words}: {note}" if note and item.state != "begun" else words

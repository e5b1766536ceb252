"""Adapt a model to a region of a layer as a generator of events, and put its progress into words."""

from __future__ import annotations

__all__ = [
    "METHODS",
    "AdaptJob",
    "Controls",
    "adapt",
    "losses_in_words",
    "progress_in_words",
    "resumes",
    "suggested_file",
]

import os
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_restore import api
from napari_restore.adapting.outcome import state_path
from napari_restore.widgets.jobs.following import follow
from napari_restore.widgets.jobs.layers.layer_files import file_stem
from napari_restore.wording import human_duration

if TYPE_CHECKING:
    from napari_restore.adapting.outcome import Adapted, AdaptProgress
    from napari_restore.images.image import Image

METHODS = {
    "auto": "auto (by the noise)",
    "r2r": "r2r: independent noise, lines",
    "noise2void": "noise2void: hidden pixels",
    "noise2noise": "noise2noise: next plane",
    "supervised": "supervised: clean images",
}
"""Titles of the methods of `api.adapt`."""


@dataclass(frozen=True)
class AdaptJob:
    """What is adapted to what.

    Attributes
    ----------
    image : Image
        The region of the layer, not read yet.
    model : str
        Name of the parent, or path of its checkpoint.
    output : str
        The ``.safetensors`` file to write.
    clean : Image or None
        The region of a layer with clean images, not read yet.
    method : str
        A key of `METHODS`.
    minutes : float or None
        Budget; None for the default of `api.adapt`.
    overwrite : bool
        Replace an existing file, and forget an interrupted adaptation.
    settings : dict
        Settings of the plan by keyword.
    """

    image: Image
    model: str
    output: str
    clean: Image | None = None
    method: str = "auto"
    minutes: float | None = None
    overwrite: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


_PAUSE = 0.05
"""Seconds between two looks at whether a pause has ended."""


@dataclass
class Controls:
    """What can be asked of an adaptation that is in progress, from another thread.

    Attributes
    ----------
    finish : threading.Event
        Ends the adaptation when it is set: what was reached is judged, and stored if it has helped.
    go_on : threading.Event
        The adaptation pauses while it is cleared.
    part : mapping or None
        What to restore every few seconds, see `api.adapt`; None for nothing.
    """

    finish: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    part: Mapping[str, int | slice] | None = None

    def __post_init__(self) -> None:
        self.go_on.set()


def adapt(job: AdaptJob, controls: Controls) -> Generator[AdaptProgress | Adapted | None, None, None]:
    """Adapt a model. Call this on a worker thread. Closing the generator keeps the state, and the same job resumes.

    Parameters
    ----------
    job : AdaptJob
        The job.
    controls : Controls
        To end, to pause and to look.

    Yields
    ------
    AdaptProgress, Adapted or None
        None while the noise is measured; `Adapted` last.

    Raises
    ------
    RestoreError
        See `api.adapt`.
    """

    def call(told: Callable[[AdaptProgress | None], None]) -> Adapted:
        def progress(event: AdaptProgress) -> bool:
            told(event)
            while not controls.go_on.wait(_PAUSE) and not controls.finish.is_set():
                told(event)  # raises if the generator was closed
            return not controls.finish.is_set()

        return api.adapt(
            job.image, job.output, model=job.model, clean=job.clean, method=job.method, minutes=job.minutes,
            overwrite=job.overwrite, progress=progress, view=lambda: controls.part, **job.settings,
        )  # fmt: skip

    yield from follow(call, None)


def resumes(output: str) -> bool:
    """Return whether there is the state of an interrupted adaptation to this output."""
    return bool(output) and state_path(Path(output)).exists()


def suggested_file(folder: str, layer: Any) -> str:
    """Return a file for the weights that are adapted to a layer.

    Parameters
    ----------
    folder : str
        The folder of the preferences; empty: that of the layer's file, or else the current one.
    layer : napari.layers.Image
        The layer.
    """
    path = str(layer.source.path or "")
    beside = os.path.dirname(path) if path and "://" not in path else ""
    place = Path(folder).expanduser() if folder else Path(beside or ".").absolute()
    return str(place / f"{file_stem(layer.name)}.adapted.safetensors")


def progress_in_words(event: AdaptProgress, *, paused: bool = False) -> str:
    """Return the steps and the remaining time: ``"Step 40 of 300 · 2 min left"``; or that there is a pause."""
    if paused:
        return f"Paused at step {event.done}" + (f" of {event.total}." if event.total else ".")
    if not event.total:
        return f"Step {event.done}; timing the first steps…"
    left = event.eta_seconds
    return f"Step {event.done} of {event.total}" + ("" if left is None else f" · {human_duration(left)} left")


def losses_in_words(event: AdaptProgress) -> str:
    """Return both losses on the crops set aside, and how the best weights so far compare."""
    latest, best = event.latest, event.best
    if latest == best and event.best_step == 0 and latest.error == 0:
        return f"On crops set aside: unadapted {latest.parent_loss:.4f}; the adapted loss follows."
    told = f"On crops set aside: adapted {latest.loss:.4f}, unadapted {latest.parent_loss:.4f} ({-latest.gain:+.2%})."
    return f"{told} Best so far: step {event.best_step} ({-best.gain:+.2%})." if event.best_step else told

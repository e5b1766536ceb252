"""List and describe the models of a dock widget, and download their weights."""

from __future__ import annotations

__all__ = [
    "DownloadProgress",
    "default_model",
    "describe",
    "detail",
    "fetch_weights",
    "groups",
    "noise_of",
    "weights_summary",
]

import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_restore import api
from napari_restore.widgets.jobs.following import Stopped, follow
from napari_restore.widgets.jobs.job import Task
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.models.card import ModelCard

_TASKS = {"denoise": "Denoising", "super-resolve": "Super-resolution", "deblur": "Deblurring", "derain": "Deraining",
          "jpeg": "JPEG artefacts", "other": "Restoration"}  # fmt: skip


@dataclass(frozen=True)
class DownloadProgress:
    """Progress of a download in bytes; `total` is None if it is not known."""

    done: int
    total: int | None


def groups(task: Task) -> dict[str, tuple[ModelCard, ...]]:
    """Return the models of a task by name, under the headings of the list.

    For ``"denoise"``, models against blur, rain and JPEG artefacts are under "Other".
    """
    upscales = task == "super-resolve"
    order = {name: position for position, name in enumerate(_TASKS)}
    cards = [card for card in api.models() if (card.scale > 1) == upscales and card.in_channels == card.out_channels]
    cards.sort(key=lambda card: order[card.task])
    published = [card for card in cards if card.task == task and not card.bundled]
    return {
        "Bundled": tuple(card for card in cards if card.bundled),
        "Restormer": tuple(card for card in published if card.architecture == "restormer"),
        "SwinIR": tuple(card for card in published if card.architecture == "swinir"),
        "Other": tuple(card for card in cards if card.task != task and not card.bundled),
    }


def default_model(task: Task, samples: int = 1) -> str:
    """Return the bundled model for a kind of layer.

    Parameters
    ----------
    task : str
        ``"denoise"`` or ``"super-resolve"``.
    samples : int
        Number of colour samples of a pixel (axis S); 1 for a layer without that axis.

    Returns
    -------
    str
        Name of the first bundled model that restores these samples together, otherwise of the first one, which restores
        each on its own.
    """
    bundled = groups(task)["Bundled"]
    return next((card for card in bundled if card.in_channels == samples), bundled[0]).name


def weights_summary(card: ModelCard) -> str:
    """Return where the weights are, and their size: ``"will download, 104.5 MB"``."""
    return f"{api.weights_state(card)}, {human_bytes(api.weights_size(card))}"


def detail(card: ModelCard) -> str:
    """Return the details of a model that the list shows after its name."""
    here = api.weights_state(card).partition(",")[0]
    return f"{_what(card)}, {_colours(card)}, {here}, {human_bytes(api.weights_size(card))}"


def describe(card: ModelCard) -> str:
    """Describe a model: its task, channels, training noise and licence."""
    colours = "gray, each channel on its own" if card.in_channels == 1 else "RGB samples together; gray works too"
    return f"{_what(card)}; {colours}. Trained for {noise_of(card)}. Licence: {card.licence}."


def noise_of(card: ModelCard) -> str:
    """Return the noise that a model was trained for, in words."""
    return card.noise.removeprefix("none: ").removeprefix("blind: ")


def _what(card: ModelCard) -> str:
    return f"{_TASKS[card.task]} ×{card.scale}" if card.scale > 1 else _TASKS[card.task]


def _colours(card: ModelCard) -> str:
    return {1: "gray", 3: "RGB"}.get(card.in_channels, f"{card.in_channels} channels")


def fetch_weights(model: str, stop: threading.Event) -> Generator[DownloadProgress, None, None]:
    """Download the weights of a model. A download that is stopped is kept, and can be continued.

    Parameters
    ----------
    model : str
        Name of a model.
    stop : threading.Event
        Stops the download; closing the generator does so too.

    Yields
    ------
    DownloadProgress
        Five times a second.

    Raises
    ------
    ModelError
        See `api.fetch`.
    """

    def download(told: Callable[[DownloadProgress], None]) -> None:
        def progress(done: int, total: int | None) -> None:
            if stop.is_set():
                raise Stopped
            told(DownloadProgress(done, total))

        with suppress(Stopped):
            api.fetch(model, progress)

    yield from (event for event in follow(download, DownloadProgress(0, None)) if event is not None)

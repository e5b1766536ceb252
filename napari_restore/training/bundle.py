"""The card that is stored beside bundled weights: who they are and how they came about."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from napari_restore.models.card import PAPERS, Architecture, ModelCard, Task, tiling_defaults
from napari_restore.models.checkpoint import file_digest, read_state_dict
from napari_restore.models.zoo import find_card
from napari_restore.training.recipes import RECIPES
from napari_restore.training.structures import KINDS

__all__ = ["write_card"]


class _Text(NamedTuple):
    title: str
    task: Task
    noise: str
    sigmas: tuple[float, float] | None
    sigma: float | None = None


_TEXTS = {
    "restormer-denoise-light": _Text(
        "Blind gray denoiser for micrographs, small enough for a CPU",
        "denoise",
        "blind: photon, read and neighbour-correlated noise, 0.8-28 % of contrast",
        (0.008, 0.28),
    ),
    "restormer-denoise-rgb-light": _Text(
        "Blind denoiser for RGB images, all samples at once: best for photographs, small enough for a CPU",
        "denoise",
        "blind: photon, read and neighbour-correlated noise, 0.8-28 % of contrast",
        (0.008, 0.28),
    ),
    "restormer-sigma25-tiny": _Text(
        "Gray denoiser of one noise level, for tests", "denoise", "Gaussian, sigma 25/255", None, sigma=25 / 255
    ),
    "swinir-x4-light": _Text(
        "Four-fold upscaling of gray micrographs, small enough for a CPU",
        "super-resolve",
        "pixel binning, a little optical blur, camera noise up to 3 % of contrast",
        (0.0, 0.03),
    ),
    "swinir-x2-light": _Text(
        "Two-fold upscaling of gray micrographs, small enough for a CPU",
        "super-resolve",
        "pixel binning, a little optical blur, camera noise up to 3 % of contrast",
        (0.0, 0.03),
    ),
}

_DATA = {
    "synthetic": f"{', '.join(KINDS).replace('_', ' ')} (training.structures)",
    "scikit-image": "images of its wheel (training.clean.SCIKIT_IMAGES)",
}


def write_card(
    name: str, weights: Path, *, images: int, folder: Path | None, final_loss: float, minutes: float, bf16: bool = False
) -> Path:
    """Write the card of freshly trained weights beside them, as JSON.

    Parameters
    ----------
    name
        A key of `RECIPES`.
    weights
        The ``.safetensors`` file.
    images
        How many clean images the run drew from.
    folder
        Folder of further images it used; its name is recorded.
    final_loss
        Mean loss of the last steps.
    minutes
        How long it took.
    bf16
        Whether the network ran in bfloat16 under autocast.
    """
    recipe, text = RECIPES[name], _TEXTS[name]
    architecture: Architecture = "restormer" if recipe.network.__name__ == "Restormer" else "swinir"
    hyperparameters: dict[str, Any] = dict(recipe.hyperparameters)
    card = ModelCard(
        name=name,
        title=text.title,
        task=text.task,
        architecture=architecture,
        hyperparameters=hyperparameters,
        scale=hyperparameters.get("scale", 1),
        in_channels=hyperparameters["in_channels"],
        out_channels=hyperparameters.get("out_channels", hyperparameters["in_channels"]),
        noise=text.noise,
        sigma=text.sigma,
        sigmas=text.sigmas,
        correlated=text.sigmas is not None,
        licence="BSD-3-Clause",
        paper=PAPERS[architecture],
        training={
            "command": f"napari-restore-train {name}"
            + (" --images FOLDER" if folder else "")
            + (" --bf16" if bf16 else ""),
            "steps": recipe.steps,
            "batch": recipe.batch,
            "patch": recipe.patch,
            "learning_rate": recipe.learning_rate,
            "loss": recipe.loss,
            "final_loss": round(final_loss, 4),
            "minutes": round(minutes),
            **({"starts_from": find_card(recipe.starts_from).sha256} if recipe.starts_from else {}),
            "seed": recipe.seed,
            "clean_images": images,
            "data": {**_DATA, **({"folder": recipe.folder_sources} if folder else {})},
        },
        weights=weights.name,
        sha256=file_digest(weights),
        parameters=sum(value.numel() for value in read_state_dict(weights).values()),
        bundled=True,
        **tiling_defaults(architecture, hyperparameters),
    )
    path = weights.with_suffix(".json")
    path.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path

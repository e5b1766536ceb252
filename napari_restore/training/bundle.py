"""Write the card of trained weights: what they are and how they were trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_restore.models.card import PAPERS, ModelCard, tiling_defaults
from napari_restore.models.checkpoint import file_digest, read_state_dict
from napari_restore.models.zoo import find_card
from napari_restore.training.recipes import RECIPES
from napari_restore.training.structures import KINDS

__all__ = ["write_card"]

_DATA = {
    "synthetic": f"{', '.join(KINDS).replace('_', ' ')} (training.structures)",
    "scikit-image": "images of its wheel (training.clean.SCIKIT_IMAGES)",
}


def write_card(
    name: str,
    weights: Path,
    *,
    command: str,
    images: int,
    sources: str,
    licence: str,
    final_loss: float,
    minutes: float,
) -> Path:
    """Write the card of newly trained weights beside them, as JSON.

    Parameters
    ----------
    name : str
        Key of `RECIPES`.
    weights : Path
        The ``.safetensors`` file.
    command : str
        Command line of the training.
    images : int
        Number of clean images that the run drew crops from.
    sources : str
        Contents and licences of the folder of further images; empty if there was none.
    licence : str
        Licence of the weights.
    final_loss : float
        Mean loss of the last steps.
    minutes : float
        Duration of the training.

    Returns
    -------
    Path
        The card.
    """
    recipe = RECIPES[name]
    hyperparameters: dict[str, Any] = dict(recipe.hyperparameters)
    card = ModelCard(
        name=name,
        title=recipe.title,
        task="denoise" if hyperparameters.get("scale", 1) == 1 else "super-resolve",
        architecture=recipe.architecture,
        hyperparameters=hyperparameters,
        scale=hyperparameters.get("scale", 1),
        in_channels=hyperparameters["in_channels"],
        out_channels=hyperparameters.get("out_channels", hyperparameters["in_channels"]),
        noise=recipe.noise,
        sigma=recipe.sigma,
        sigmas=recipe.sigmas,
        correlated=recipe.sigmas is not None,
        licence=licence or "not stated",
        paper=PAPERS[recipe.architecture],
        training={
            "command": command,
            **recipe.schedule(),
            "final_loss": round(final_loss, 4),
            "minutes": round(minutes),
            **({"starts_from": find_card(recipe.starts_from).sha256} if recipe.starts_from else {}),
            "clean_images": images,
            "data": {**_DATA, **({"folder": sources} if sources else {})},
        },
        weights=weights.name,
        sha256=file_digest(weights),
        parameters=sum(value.numel() for value in read_state_dict(weights).values()),
        **tiling_defaults(recipe.architecture, hyperparameters),
    )
    path = weights.with_suffix(".json")
    path.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path

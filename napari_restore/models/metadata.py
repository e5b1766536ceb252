"""Read what a ``.safetensors`` checkpoint says beside its weights: hyper-parameters, and fields of a card."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from napari_restore.errors import ModelError
from napari_restore.models.card import ModelCard

__all__ = [
    "CARD_FIELDS", "METADATA_KEY", "NOT_INFERRED", "check_not_inferred", "own_fields", "read_metadata",
    "with_own_fields",
]  # fmt: skip

METADATA_KEY = "napari_restore"
"""Key of everything that this package stores in the metadata of a file."""
NOT_INFERRED = ("img_range", "mean")
"""Hyper-parameters of SwinIR that cannot be inferred from the shapes of its parameters."""
CARD_FIELDS = (
    "title", "task", "noise", "sigma", "sigmas", "correlated", "licence", "licence_url", "attention_window", "training",
)  # fmt: skip
"""Fields of a card that a file may have in its metadata."""
_OF_TRAINING = ("steps", "batch", "patch", "seed")
"""Entries that every description of a training has."""


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the hyper-parameters that `checkpoint.write_checkpoint` has stored and that cannot be inferred from shapes.

    Parameters
    ----------
    path : Path
        The checkpoint.

    Returns
    -------
    dict of str to object
        Empty for a file without them.

    Raises
    ------
    ModelError
        If the metadata are damaged.
    """
    content = _content(path)
    try:
        told = content["hyperparameters"] if content else {}
        return check_not_inferred(**{key: told[key] for key in NOT_INFERRED if key in told})
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"the metadata of {path} are damaged: {error}; convert the checkpoint again.") from error


def with_own_fields(card: ModelCard, path: Path) -> ModelCard:
    """Complete the card of a file by the fields of a card in its metadata, which adapted weights have.

    Parameters
    ----------
    card : ModelCard
        Card that was made from the shapes of the weights.
    path : Path
        The checkpoint.

    Returns
    -------
    ModelCard
        The card; unchanged for a file without such fields.

    Raises
    ------
    ModelError
        If the fields are damaged.
    """
    told = own_fields(path)
    try:
        made = ModelCard.model_validate({**card.model_dump(), **told}) if told else card
        if lacking := [name for name in _OF_TRAINING if made.training and name not in made.training]:
            raise ValueError(f"its training has no {lacking[0]}")
    except ValueError as error:  # of pydantic as well
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"the card in {path} is damaged ({reason}); adapt the model again.") from error
    return made


def own_fields(path: Path) -> dict[str, Any]:
    """Read the fields of a card that a file has in its metadata.

    Parameters
    ----------
    path : Path
        The checkpoint.

    Returns
    -------
    dict of str to object
        Values of `CARD_FIELDS`, unchecked; empty for a file without them.

    Raises
    ------
    ModelError
        If the metadata are damaged.
    """
    own = _content(path).get("card") or {}
    if not isinstance(own, dict):
        raise ModelError(f"the card in {path} is damaged (it is no mapping); adapt the model again.")
    return {name: own[name] for name in CARD_FIELDS if name in own}


def _content(path: Path) -> dict[str, Any]:
    """Return all that `checkpoint.write_checkpoint` has stored; empty for a file without it."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
        if not isinstance(content, dict):
            raise TypeError(f"{type(content).__name__} instead of a mapping")
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ModelError(f"the metadata of {path} are damaged: {error}; convert the checkpoint again.") from error
    return content


def check_not_inferred(img_range: float | None = None, mean: Sequence[float] | None = None) -> dict[str, Any]:
    """Check the hyper-parameters of SwinIR that cannot be inferred from shapes.

    Parameters
    ----------
    img_range : float, optional
        Factor on the input, greater than 0.
    mean : sequence of float, optional
        Mean of each channel.

    Returns
    -------
    dict of str to object
        Those that are not None.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, is not finite, or the range is not positive.
    """
    given: dict[str, Any] = {}
    if img_range is not None:
        given["img_range"] = float(img_range)
        if not 0 < given["img_range"] < math.inf:
            raise ValueError(f"the range {img_range} is not positive")
    if mean is not None:
        given["mean"] = tuple(float(value) for value in mean)
        if not all(math.isfinite(value) for value in given["mean"]):
            raise ValueError(f"mean {mean} is not finite")
    return given

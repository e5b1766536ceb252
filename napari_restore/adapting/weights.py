"""Write adapted weights as one file, with a card that says what they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from napari_restore.models.card import ModelCard
from napari_restore.models.checkpoint import write_checkpoint

__all__ = ["write_adapted"]


def write_adapted(path: Path, weights: Mapping[str, Tensor], parent: ModelCard, told: Mapping[str, Any]) -> None:
    """Write weights with the hyper-parameters and the texts of their parent.

    Parameters
    ----------
    path : Path
        The ``.safetensors`` file; written whole or not at all.
    weights : mapping of str to torch.Tensor
        All parameters of the network.
    parent : ModelCard
        Card of the model that was adapted.
    told : mapping of str to object
        Entries of `ModelCard.training`.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    card = {
        "title": f"{parent.title}, adapted to {told['source_name']}",
        "attention_window": parent.attention_window,
        **parent.model_dump(
            mode="json", include={"task", "noise", "sigma", "sigmas", "correlated", "licence", "licence_url"}
        ),
        "training": dict(told),
    }
    tensors = {name: value.detach().cpu() for name, value in weights.items()}
    write_checkpoint(path, tensors, parent.architecture, parent.hyperparameters, half=False, card=card)

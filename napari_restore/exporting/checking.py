"""Check what an export needs before any work is done: a new file, and the weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_restore.errors import ModelError
from napari_restore.models.windows import with_windows
from napari_restore.models.zoo import load_weights, local_card

if TYPE_CHECKING:
    from torch import nn

    from napari_restore.models.card import ModelCard

__all__ = ["local_network", "new_file"]


def new_file(target: Path, suffix: str) -> None:
    """Check that a file can be written.

    Raises
    ------
    ModelError
        If it has another suffix, exists, or its folder does not.
    """
    if target.suffix != suffix:
        raise ModelError(f"{target} does not end in {suffix}; rename it.")
    if target.exists():
        raise ModelError(f"{target} exists already; name another file, or remove it.")
    if not target.parent.is_dir():
        raise ModelError(f"the folder {target.parent} does not exist; make it, or name a file in an existing folder.")


def local_network(card: ModelCard) -> tuple[ModelCard, nn.Module]:
    """Load the network that a run has by default: that of Restormer with attention windows, if its card has them.

    Parameters
    ----------
    card : ModelCard
        The model; its weights are fetched if they are not on this machine.

    Returns
    -------
    ModelCard
        Its card, whose hyper-parameters are those of the network.
    torch.nn.Module
        The network on the CPU, float32, in evaluation mode.

    Raises
    ------
    ModelError
        If the weights cannot be fetched or loaded.
    """
    card = local_card(card)
    if card.attention_window is not None:
        card = with_windows(card, card.attention_window)
    return card, load_weights(card)

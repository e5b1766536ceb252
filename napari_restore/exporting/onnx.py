"""Export a network as ONNX, for tiles of one size."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from napari_restore.errors import ModelError, RecipeError
from napari_restore.exporting.checking import local_network, new_file
from napari_restore.files import fresh_file
from napari_restore.models.card import ModelCard

__all__ = ["OPSET", "export_onnx"]

OPSET = 18
"""Version of the operators of ONNX; programs of 2023 and later have it."""


def export_onnx(card: ModelCard, target: Path, tile: int | None = None) -> None:
    """Export a network as ONNX, with the input ``input`` and the output ``output``, for tiles of one size.

    The masks of SwinIR's windows, and the windows of Restormer's attention, are constants of the file, so the height
    and width of a tile are fixed.

    Parameters
    ----------
    card : ModelCard
        The model.
    target : Path
        New file, with the suffix ``.onnx``.
    tile : int or None
        Height and width of the input, in pixels; a multiple of the model's alignment. If None, that of the card.

    Raises
    ------
    RecipeError
        If the tile does not fit the model.
    ModelError
        If the weights cannot be loaded, the package onnx is missing, or the file exists or cannot be written.
    """
    new_file(target, ".onnx")
    card, network = local_network(card)
    side = card.tile if tile is None else tile
    if side < card.minimum_size or side % card.alignment:
        near = max(round(side / card.alignment), 1) * card.alignment
        raise RecipeError(
            f"tile {side} is not a multiple of {card.alignment} (the model's alignment); use {near} or "
            f"{near + card.alignment}."
        )
    example = torch.linspace(0, 1, side**2 * card.in_channels).reshape(1, card.in_channels, side, side)
    try:
        from onnx import checker
    except ImportError as error:
        raise ModelError(
            "an export as ONNX needs the package onnx; install it with: pip install 'napari-restore[onnx]' (or pip "
            "install onnx)."
        ) from error
    try:
        with fresh_file(target) as fresh, warnings.catch_warnings(), torch.no_grad():
            # The trace is for one size; torch.export takes ten times as long and needs another package.
            warnings.simplefilter("ignore")
            network(example)  # computes the masks of this size first, so that the trace has them as constants
            torch.onnx.export(
                network, (example,), str(fresh), dynamo=False, opset_version=OPSET,
                input_names=["input"], output_names=["output"],
            )  # fmt: skip
            checker.check_model(str(fresh), full_check=True)
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error}; name a file in an existing folder.") from error

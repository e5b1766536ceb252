"""Describe a Restormer whose attention is summed over windows of the image, instead of over a whole tile."""

from __future__ import annotations

import math

from napari_restore.errors import RecipeError
from napari_restore.models.card import ModelCard
from napari_restore.ways_out import WayOut

__all__ = ["WINDOW_STEP", "with_windows"]

_CELLS_ACROSS = 7
"""Cells of a window along Y and X. With 7, neighbouring windows share six sevenths of their pixels, and no border can
be seen between them; with 5 it can just be measured (docs/restormer-tiles.md)."""
WINDOW_STEP = 8 * _CELLS_ACROSS
"""Sides of windows are multiples of this many input pixels, as cells are multiples of 8."""
_HALO, _BLEND = 16, 32
"""Halo and blend for windows of `_MEASURED` pixels, in input pixels."""
_MEASURED = 112
_TILE = 320
"""Tile for such windows in a preview; tiles of a run are chosen by the size of the plane."""


def with_windows(card: ModelCard, window: int) -> ModelCard:
    """Return the card of a Restormer with attention windows.

    Parameters
    ----------
    card : ModelCard
        Card of a Restormer, with attention over whole tiles.
    window : int
        Side of a window, in input pixels.

    Returns
    -------
    ModelCard
        The same model with other hyper-parameters, alignment, tile, halo and blend.

    Raises
    ------
    RecipeError
        If the network is not a Restormer, or the window is not a multiple of `WINDOW_STEP`.

    Examples
    --------
    >>> from napari_restore.models.zoo import find_card
    >>> card = with_windows(find_card("restormer-denoise-light"), 112)
    >>> card.alignment, card.tile, card.halo, card.blend
    (16, 320, 16, 32)
    """
    if card.architecture != "restormer" or card.chain:
        raise RecipeError(
            f"{card.name} has no attention over whole tiles, so an attention window of {window} cannot be used",
            WayOut("leave it out.", "leave out --attention-window.", "choose a Restormer without Denoise first."),
        )
    if window < WINDOW_STEP or window % WINDOW_STEP:
        below, above = max(window // WINDOW_STEP, 1) * WINDOW_STEP, (window // WINDOW_STEP + 1) * WINDOW_STEP
        choice = " or ".join(map(str, sorted({below, above})))
        raise RecipeError(
            f"the attention window {window} is not a multiple of {WINDOW_STEP}; use {choice}, or 0 for none."
        )
    cell = window // _CELLS_ACROSS
    larger = max(1.0, window / _MEASURED)
    halo = 8 * round(_HALO * larger / 8)
    blend = math.ceil((2 * halo + _BLEND) / cell) * cell - 2 * halo
    return card.model_copy(
        update={
            "hyperparameters": {**card.hyperparameters, "attention_window": window, "attention_cell": cell},
            "alignment": cell, "minimum_size": cell, "tile": round(_TILE * larger / cell) * cell,
            "halo": halo, "blend": blend, "tile_error": None,
        }
    )  # fmt: skip

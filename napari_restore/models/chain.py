"""Combine a denoiser and a model that super-resolves its result: the card of both networks in sequence.

For the engine they are one network with one tile grid. Its halo is the sum of both halos, so that all pixels that the
second network needs are denoised with their own halo.
"""

from __future__ import annotations

import math

from napari_restore.errors import ModelError
from napari_restore.models.card import ModelCard

__all__ = ["denoised_first"]

_BETWEEN = 4
"""Bytes of a denoised pixel of one channel (float32)."""


def denoised_first(first: ModelCard, card: ModelCard) -> ModelCard:
    """Return the card of a denoiser followed by a model that super-resolves.

    Parameters
    ----------
    first : ModelCard
        The denoiser.
    card : ModelCard
        The model that super-resolves.

    Returns
    -------
    ModelCard
        The card of both networks, with the scale of `card`, the training noise of `first`, and tiles that fit both.

    Raises
    ------
    ModelError
        If the two do not fit together.

    Examples
    --------
    >>> from napari_restore.models.zoo import find_card
    >>> both = denoised_first(find_card("restormer-denoise-light"), find_card("swinir-x2-light"))
    >>> both.name, both.scale, both.halo, both.tile
    ('restormer-denoise-light + swinir-x2-light', 2, 40, 384)
    """
    if first.scale != 1 or first.task == "super-resolve":
        raise ModelError(f"{first.name} does not denoise: it is for {first.task}; name a denoiser.")
    if not first.in_channels == first.out_channels == card.in_channels:
        raise ModelError(
            f"{first.name} has {first.in_channels} input and {first.out_channels} output channels, and {card.name} "
            f"takes {card.in_channels}; name a denoiser with {card.in_channels} channels, or 'auto'."
        )
    if first.sigma is not None:
        raise ModelError(
            f"{first.name} was trained for one noise level, to which values are normalised, and {card.name} needs them "
            "normalised to the value range; name a denoiser for several noise levels, or 'auto'."
        )
    for each in (first, card):
        if each.largest_tile:
            raise ModelError(
                f"{each.name} takes no larger tiles than {each.largest_tile} pixels, which is too small for two "
                "networks in sequence; denoise in a run of its own."
            )
    alignment = math.lcm(first.alignment, card.alignment)
    losses = (first.bfloat16_loss, card.bfloat16_loss)
    texts = {
        name: " + ".join(dict.fromkeys((getattr(first, name), getattr(card, name))))
        for name in ("name", "title", "licence", "paper")
    }
    return card.model_copy(
        update={
            **texts,
            "chain": (first, card),
            "noise": first.noise, "sigmas": first.sigmas, "correlated": first.correlated,
            "alignment": alignment,
            # Tiles are 1.5 times as large, because the overlap of tiles of size T costs (T / (T - 2 halo - blend))^2.
            "tile": max(first.tile, card.tile) * 3 // 2 // alignment * alignment,
            "halo": first.halo + card.halo,
            "tile_error": None,
            "blend": max(first.blend, card.blend),
            "exact_tiles": first.exact_tiles and card.exact_tiles,
            "minimum_size": max(first.minimum_size, card.minimum_size),
            "bytes_per_pixel": max(first.bytes_per_pixel, card.bytes_per_pixel) + _BETWEEN * card.in_channels,
            "bfloat16_loss": None if None in losses else sum(loss for loss in losses if loss is not None),
            "parameters": (first.parameters or 0) + (card.parameters or 0) or None,
        }
    )  # fmt: skip

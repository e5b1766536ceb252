"""Compute the shape of a result from its source and model."""

from __future__ import annotations

from napari_restore.images.image import Image
from napari_restore.models.card import ModelCard

__all__ = ["gray_through_colour", "result_shape"]


def gray_through_colour(image: Image, card: ModelCard) -> bool:
    """Return whether gray planes go through a colour network, repeated as its channels."""
    return image.sizes.get("S", 1) == 1 and card.in_channels == card.out_channels > 1


def result_shape(image: Image, card: ModelCard) -> tuple[int, ...]:
    """Return the shape of the restored image, in canonical order.

    Parameters
    ----------
    image : Image
        The source.
    card : ModelCard
        The model.
    """
    factor = {"Y": card.scale, "X": card.scale}
    lengths = {axis: length * factor.get(axis, 1) for axis, length in image.sizes.items()}
    if card.in_channels > 1 and not gray_through_colour(image, card):
        lengths["S"] = card.out_channels
    return tuple(lengths[axis] for axis in image.canonical)

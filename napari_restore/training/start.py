"""Initialise a network with the weights of another network that shares layers with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_restore.models.checkpoint import read_state_dict
from napari_restore.models.zoo import find_card, weights_path

__all__ = ["adapted", "begin_with"]


def begin_with(network: nn.Module, name: str) -> None:
    """Load the weights of a bundled model into the layers that agree; other layers keep their random weights.

    A layer that differs only in the number of image channels (gray and RGB) is adapted, see `adapted`.

    Parameters
    ----------
    network : torch.nn.Module
        Network, changed in place.
    name : str
        Name of the bundled model.
    """
    known = read_state_dict(weights_path(find_card(name)))
    own = network.state_dict()
    fitting = {key: adapted(known[key].float(), tuple(value.shape)) for key, value in own.items() if key in known}
    network.load_state_dict({**own, **{key: value for key, value in fitting.items() if value is not None}})


def adapted(weight: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """Expand the weight of a convolution from one image channel to several.

    Input channels ``(out, 1, kh, kw)`` share the weight, so that gray pixels give the same result; output channels
    ``(1, in, kh, kw)`` repeat it.

    Parameters
    ----------
    weight : torch.Tensor
        Weight of the convolution.
    shape : tuple of int
        Shape of the new weight.

    Returns
    -------
    torch.Tensor or None
        The new weight; None if the shapes differ in another way.

    Examples
    --------
    >>> adapted(torch.full((16, 1, 3, 3), 6.0), (16, 3, 3, 3)).unique()
    tensor([2.])
    """
    if tuple(weight.shape) == shape:
        return weight
    if weight.ndim != 4 or len(shape) != 4:
        return None
    if weight.shape[1] == 1 and (weight.shape[0], *weight.shape[2:]) == (shape[0], *shape[2:]):
        return torch.repeat_interleave(weight, shape[1], 1) / shape[1]
    if weight.shape[0] == 1 and tuple(weight.shape[1:]) == shape[1:]:
        return torch.repeat_interleave(weight, shape[0], 0)
    return None

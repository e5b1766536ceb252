"""Beginning a run with the weights of another network that has layers in common with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_restore.models.checkpoint import read_state_dict
from napari_restore.models.zoo import find_card, weights_path

__all__ = ["adapted", "begin_with"]


def begin_with(network: nn.Module, name: str) -> None:
    """Load what fits of a bundled model's weights; layers of other sizes keep their random start.

    A layer that differs only in the number of image channels (from gray to RGB) is adapted: see `adapted`.
    """
    known = read_state_dict(weights_path(find_card(name)))
    own = network.state_dict()
    fitting = {key: adapted(known[key].float(), tuple(value.shape)) for key, value in own.items() if key in known}
    network.load_state_dict({**own, **{key: value for key, value in fitting.items() if value is not None}})


def adapted(weight: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """Bring the weight of a convolution from one image channel to several; None where that is not the difference.

    Input channels ``(out, 1, kh, kw)`` share the weight, so gray pixels give what they gave; output channels
    ``(1, in, kh, kw)`` repeat it.

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

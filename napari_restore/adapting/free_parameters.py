"""The few parameters of a network that are adapted.

A parameter that is fitted to noisy pixels costs, once it is fully fitted, the variance of the noise divided by the
number of pixels (Akaike 1974; Stein 1981): 3000 free parameters and 262 144 pixels (one plane of 512 x 512) cost 1 % of
the noise's variance, where a good result is off by 5 to 10 %. So few are free, and the fewer the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["FreeParameters", "Kind", "choose_kind"]

Kind = Literal["scales", "norms"]

_SCALED = (
    "norm1.body.weight", "norm2.body.weight", "norm1.weight", "norm2.weight", "temperature", "project_out.weight",
    "attn.proj.weight", "mlp.fc2.weight",
)  # fmt: skip
"""Ends of the names of parameters whose scale is free: norms, temperatures, and the last layer of each branch."""
_ENDS = (
    "patch_embed.proj.weight", "output.weight", "output.bias", "conv_first.weight", "conv_first.bias",
    "conv_last.weight", "conv_last.bias",
)  # fmt: skip
"""First and last layers."""
_MANY = 2_000_000
"""Pixels from which every number of the norms, and of the first and last layers, is free."""


def choose_kind(pixels: int, *, structured: bool) -> Kind:
    """Choose how much is free: by the number of pixels of the training, and by whether the noise has structure.

    Noise of lines or neighbours needs other filters than its network has; that gains more than it costs.
    """
    return "norms" if structured or pixels >= _MANY else "scales"


class FreeParameters:
    """Free parameters of a network; its weights are functions of them. At 0, they are the weights of the parent.

    With ``"scales"``, each norm, each temperature and the last layer of each branch is multiplied by one number, and
    so are the first and the last layer of the network. With ``"norms"``, each number of norms and temperatures has a
    factor, and each number of the first and last layers a summand. All are in relative units, so one learning rate
    fits all of them.

    Parameters
    ----------
    network : torch.nn.Module
        The network; it is not changed.
    kind : {"scales", "norms"}
        How much is free.
    """

    def __init__(self, network: nn.Module, kind: Kind) -> None:
        self._network = network
        self._fixed = {name: value.detach() for name, value in network.state_dict().items()}
        self._additive: dict[str, float] = {}
        self.values: dict[str, Tensor] = {}
        for name, value in self._fixed.items():
            last = name.rpartition(".")[2]
            if name.startswith(_ENDS) and kind == "norms":
                self._additive[name] = max(float(value.square().mean().sqrt()), 1e-3)
                shape: tuple[int, ...] = tuple(value.shape)
            elif name.startswith(_ENDS) and last == "weight":
                shape = ()
            elif name.endswith(_SCALED) and (kind == "scales" or not name.endswith(_SCALED[5:])):
                shape = tuple(value.shape) if kind == "norms" or last == "temperature" else ()
            else:
                continue
            self.values[name] = torch.zeros(shape, device=value.device, requires_grad=True)

    @property
    def count(self) -> int:
        """How many numbers are free."""
        return sum(value.numel() for value in self.values.values())

    def weights(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return all weights of the network for values of its free parameters."""
        made = dict(self._fixed)
        for name, value in values.items():
            fixed = self._fixed[name]
            made[name] = fixed + self._additive[name] * value if name in self._additive else fixed * value.exp()
        return made

    def restored(self, pixels: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Restore ``(b, c, h, w)`` with values of the free parameters."""
        result: Tensor = torch.func.functional_call(self._network, self.weights(values), (pixels,))
        return result

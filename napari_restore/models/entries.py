"""Find the parameters of a network among the entries of a checkpoint, below any wrappers and prefixes.

Training programs store more than one network: averaged copies, counters, losses, optimizers, other networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from torch import Tensor

from napari_restore.errors import ModelError

__all__ = ["DERIVED", "WRAPPERS", "Entries", "find_entries"]

WRAPPERS = (
    "params_ema", "params", "state_dict_ema", "state_dict", "model_state_dict", "model_ema", "ema", "model", "netG",
    "net_g", "net", "network", "generator", "weights", "module", "_orig_mod",
)  # fmt: skip
"""Keys below which training programs store a network, in order of preference."""
DERIVED = (".attn_mask", ".relative_position_index")
"""Buffers that follow from the architecture."""

_MARKS = (
    ("patch_embed.proj.weight", "latent.0.attn.temperature"),
    ("conv_first.weight", "layers.0.residual_group.blocks.0.attn.qkv.weight"),
)
"""Two parameters of each network that no other network has together."""
_PARTS = re.compile(
    r"(patch_embed|encoder_level\d|down\d_\d|latent|up\d_\d|reduce_chan_level\d|decoder_level\d|refinement|skip_conv|"
    r"output|conv_first|layers|norm|conv_after_body|conv_before_upsample|upsample|conv_up\d|conv_hr|conv_last)\."
)
"""First parts of the names of parameters of the two networks."""
_AVERAGED = re.compile(r"(^|[._])(ema|averaged|swa)([._]|$)")
_BESIDE = re.compile(
    r"^(loss|losses|criterion|metrics?|psnr|ssim|lpips|vgg|perceptual|discriminator|net_?d|ema|teacher|optimizer|"
    r"scheduler|data_preprocessor)(_|\.|$)|(_|\.)(loss|losses|metrics?|ema)(\.|$)",
    re.IGNORECASE,
)
"""Names beside a network, in the module that trains it, that are not part of the network."""


@dataclass(frozen=True)
class Entries:
    """Entries of a checkpoint that belong to one network.

    Attributes
    ----------
    state : dict of str to Tensor
        Parameters by name, without prefix.
    where : str
        Prefix of the names in the file; empty if there is none.
    left_out : tuple of str
        Names of all other tensors in the file.
    """

    state: dict[str, Tensor]
    where: str = ""
    left_out: tuple[str, ...] = ()

    def of(self, names: Iterable[str]) -> Entries:
        """Select the parameters of a network, without the entries that training programs store beside it.

        Parameters
        ----------
        names : iterable of str
            Names of all parameters and buffers of the network.

        Returns
        -------
        Entries
            The selected entries.

        Raises
        ------
        ModelError
            If an entry is a parameter of another network.
        """
        known = set(names)
        own = {name.partition(".")[0] for name in known}
        beside: list[str] = []
        foreign: list[str] = []
        for name, value in self.state.items():
            if name not in known:
                counter = value.numel() == 1 and "." not in name
                outside = name.partition(".")[0] not in own and (counter or _BESIDE.search(name))
                (beside if outside else foreign).append(name)
        if foreign:
            raise ModelError(
                f"it has {len(foreign)} parameters too many, which this network does not have: "
                f"{', '.join(foreign[:5])}{', ...' if len(foreign) > 5 else ''}"
            )
        kept = {name: value for name, value in self.state.items() if name in known}
        return Entries(kept, self.where, (*self.left_out, *(self.where + name for name in beside)))

    def words(self) -> str:
        """Describe what was left out, and where the network was found; empty if nothing was left out."""
        if not self.left_out:
            return ""
        groups = list(dict.fromkeys(map(self._group, self.left_out)))
        taken = f"its {self.where.rstrip('.')}; " if self.where else ""
        return f"{taken}left out: {', '.join(groups[:6])}{', ...' if len(groups) > 6 else ''}"

    def _group(self, path: str) -> str:
        """Return the first key of a path that differs from the prefix of the network."""
        keys, shared = path.split("."), self.where.split(".")
        return next((key for key, other in zip_longest(keys, shared) if key != other and key is not None), path)


def find_entries(content: Any) -> Entries | None:
    """Find the parameters of Restormer or SwinIR in the content of a file.

    Averaged copies (``ema``) are preferred, then prefixes in the order of `WRAPPERS`.

    Parameters
    ----------
    content : object
        Nested mappings of tensors and other objects.

    Returns
    -------
    Entries or None
        All entries with the prefix of the network; None if there is no tensor.

    Raises
    ------
    ModelError
        If there are two networks and neither is preferred.
    """
    tensors = dict(_tensors(content))
    if not tensors:
        return None
    places = sorted({where for marks in _MARKS for where in _places(tensors, marks)}, key=_rank)
    if not places:
        return _unmarked(tensors)
    if len(places) > 1 and _rank(places[0])[:2] == _rank(places[1])[:2]:
        named = " and ".join(repr(where.rstrip(".")) for where in places[:2])
        raise ModelError(f"it holds several networks, {named}; save the state_dict() of one of them.")
    where = places[0]
    inside = [path for path in tensors if path.startswith(where) and (where or _plain(path) == path)]
    state, taken = {path.removeprefix(where): tensors[path] for path in inside}, set(inside)
    left = [path for path in tensors if path not in taken]
    half = {_plain(path): path for path in left if _PARTS.match(_plain(path))}
    if half and half.keys().isdisjoint(state):  # no name twice: both are halves of one network
        state |= {name: tensors[path] for name, path in half.items()}
        left = [path for path in left if path not in set(half.values())]
    return Entries(_without_derived(state), where, tuple(left))


def _tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors in nested mappings with the path of their keys; each mapping once, as it may contain itself."""
    waiting, seen = [("", content)], {id(content)}
    while waiting:
        path, mapping = waiting.pop(0)
        if not isinstance(mapping, Mapping):
            continue
        for key, value in mapping.items():
            if isinstance(value, Tensor):
                yield f"{path}{key}", value
            elif id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{path}{key}.", value))


def _places(tensors: Mapping[str, Tensor], marks: tuple[str, str]) -> Iterator[str]:
    """Yield the prefixes under which a network is stored."""
    for path in tensors:
        if path.endswith(marks[0]):
            where = path[: -len(marks[0])]
            if (not where or where.endswith(".")) and where + marks[1] in tensors:
                yield where


def _rank(where: str) -> tuple[bool, int, int, str]:
    """Return the sort key of a prefix: averaged weights first, then known wrappers, then short paths."""
    first = where.partition(".")[0]
    known = WRAPPERS.index(first) if first in WRAPPERS else len(WRAPPERS)
    return not _AVERAGED.search(where.lower()), known, where.count("."), where


def _unmarked(tensors: Mapping[str, Tensor]) -> Entries:
    """Remove the wrappers of each name, unless two names become the same: some names may have a wrapper, others not."""
    plain = {_plain(path): value for path, value in tensors.items()}
    return Entries(_without_derived(plain if len(plain) == len(tensors) else dict(tensors)))


def _plain(path: str) -> str:
    first, dot, rest = path.partition(".")
    return _plain(rest) if dot and first in WRAPPERS else path


def _without_derived(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.endswith(DERIVED)}

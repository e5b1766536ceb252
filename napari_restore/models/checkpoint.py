"""Reading weights: ``.safetensors`` and ``.pth``, without ever running code that a file carries."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from napari_restore.errors import ModelError
from napari_restore.models.architecture import build, infer_architecture
from napari_restore.models.card import Architecture

__all__ = ["file_digest", "load_network", "read_state_dict"]

_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "net_g", "network", "generator")
_PREFIXES = re.compile(r"^(module|netG|net_g|model|network|_orig_mod)\.")
_DERIVED = (".attn_mask", ".relative_position_index")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as a hexadecimal string."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping, only keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is no complete safetensors file: {error}; fetch or convert it again.") from error


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: what cannot be read is an error below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} was not loaded: it is damaged, or it is a pickle that asks for more than tensors, which could run "
            "any code on this machine; ask its authors for a file of plain weights or a .safetensors file."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise ModelError(f"{path} is damaged or no torch checkpoint: {error}") from error
    except (zipfile.BadZipFile, AssertionError, UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise ModelError(f"{path} is damaged or no torch checkpoint: {error!r}") from error


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the mapping of names to tensors below the wrappers that training scripts put around it."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
            if tensors:
                return tensors
            break
        content = inner
    raise ModelError(
        f"{path} holds no state dict, neither flat nor under one of {', '.join(_WRAPPERS)}; save the network's "
        "state_dict() and load that."
    )


def _plain_key(key: str) -> str:
    while _PREFIXES.match(key):
        key = _PREFIXES.sub("", key)
    return key


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the parameters of a checkpoint under their plain names, in float32.

    Wrappers (``params_ema``, ``params``, ``state_dict``, ...) and prefixes (``module.``, ``netG.``, ...) are removed,
    and so are buffers that follow from the architecture (attention masks, position indices).

    Parameters
    ----------
    path
        A ``.safetensors`` file or a file of ``torch.save`` (any other suffix).

    Raises
    ------
    ModelError
        If the file is missing or damaged, holds no state dict, or is a pickle that would run code.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; give the path of a .safetensors or .pth file.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    state = {_plain_key(key): value for key, value in _unwrapped(content, path).items()}
    return {
        key: value.float() if value.is_floating_point() else value
        for key, value in state.items()
        if not key.endswith(_DERIVED)
    }


def load_network(
    path: Path, expected: tuple[Architecture, Mapping[str, Any]] | None = None
) -> tuple[nn.Module, Architecture, dict[str, Any]]:
    """Build the network of a checkpoint and load its weights.

    Parameters
    ----------
    path
        See `read_state_dict`.
    expected
        Architecture and hyper-parameters where a card tells them; inferred from the shapes otherwise.

    Returns
    -------
    network, architecture, hyperparameters
        The network on the CPU, float32, in evaluation mode.

    Raises
    ------
    ModelError
        Also if the parameters do not fit the architecture.
    """
    state = read_state_dict(path)
    architecture, hyperparameters = expected if expected is not None else infer_architecture(state)
    try:
        network = build(architecture, hyperparameters)
        network.load_state_dict(state)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).replace("\n", " ")[:400]
        raise ModelError(f"{path} does not fit {architecture} {dict(hyperparameters)}: {reason}") from error
    return network, architecture, dict(hyperparameters)

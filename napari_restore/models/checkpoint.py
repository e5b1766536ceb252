"""Read and write checkpoints, ``.safetensors`` and ``.pth``, without running code that a file may contain."""

from __future__ import annotations

import argparse
import codecs
import hashlib
import json
import pathlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_restore.errors import ModelError, fault_of
from napari_restore.files import fresh_file
from napari_restore.models.architecture import build, infer_architecture
from napari_restore.models.card import Architecture
from napari_restore.models.entries import WRAPPERS, Entries, find_entries
from napari_restore.models.metadata import METADATA_KEY

__all__ = [
    "file_digest",
    "load_network",
    "read_network",
    "read_state_dict",
    "write_checkpoint",
]

_FOLDER = 0x10
"""Bit of the attributes of a member of a ZIP file."""


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping, only keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is not a complete safetensors file: {error}; fetch or convert it again.") from error


def _read_pickle(path: Path) -> Any:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_members(archive, path)
                damaged = archive.testzip()  # torch does not verify the checksums
            if damaged is not None:
                raise ModelError(f"{path} is damaged: the checksum of {damaged} is wrong; fetch it again.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: what cannot be read is an error below
            with torch.serialization.safe_globals(_harmless()):
                return torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        more = f" ({asked[1]})" if asked else ""
        raise ModelError(
            f"{path} was not loaded: it is damaged, or it is a pickle that asks for more than tensors{more}, which "
            "could run any code on this machine; ask its authors for a file of plain weights or a .safetensors file."
        ) from error
    except Exception as error:  # a damaged file raises many kinds of errors in the readers of the two formats
        raise ModelError(
            f"{path} is damaged or no torch checkpoint: torch cannot read it; fetch it again, or give a .safetensors "
            "or .pth file of Restormer or SwinIR."
        ) from error


def _harmless() -> list[Any]:
    """Return types that training programs store beside tensors and that run no code: NumPy numbers, paths, options."""
    from numpy._core import multiarray

    kinds = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdFD"]
    old: list[Any] = [(multiarray.scalar, "numpy.core.multiarray.scalar")]
    old += [(multiarray._reconstruct, "numpy.core.multiarray._reconstruct")]
    paths = [pathlib.PurePosixPath, pathlib.PosixPath, pathlib.PureWindowsPath, pathlib.WindowsPath]
    made = [multiarray.scalar, multiarray._reconstruct, np.ndarray, np.dtype, *kinds, codecs.encode]
    return [*made, *old, *paths, argparse.Namespace]


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse members that are larger than the file, as torch does not compress, or that are marked as folders."""
    members = archive.infolist()
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise ModelError(
            f"{path} was not loaded: it is a program of TorchScript and not weights; save the network's state_dict()."
        )
    packed = next((member for member in members if member.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None or sum(member.file_size for member in members) > path.stat().st_size:
        raise ModelError(
            f"{path} was not loaded: its contents are compressed, or overlap, and could fill the memory; torch.save "
            "makes no such files. Ask its authors for a .safetensors file."
        )
    # Torch 2.6 reads nothing of these, and takes what is in memory for the weights.
    if any(member.external_attr & _FOLDER and member.file_size for member in members):
        raise ModelError(f"{path} is damaged: it says that weights are a folder; fetch it again.")


def _entries(path: Path) -> Entries:
    """Find the parameters of a network in a file, and check that each is a plain tensor of finite numbers."""
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; give the path of a .safetensors or .pth file.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    try:
        found = find_entries(content)
    except ModelError as error:
        raise ModelError.around(f"{path} was not loaded", error) from error
    if found is None:
        raise ModelError(
            f"{path} holds no state dict, neither flat nor under a key such as {', '.join(WRAPPERS[:4])}; save the "
            "network's state_dict() and load that."
        )
    for key, value in found.state.items():
        _check_tensor(key, value, path)
    floats = {key: value.float() if value.is_floating_point() else value for key, value in found.state.items()}
    return replace(found, state=floats)


def write_checkpoint(
    path: Path,
    state: Mapping[str, Tensor],
    architecture: Architecture,
    hyperparameters: Mapping[str, Any],
    *,
    half: bool,
    card: Mapping[str, Any] | None = None,
) -> None:
    """Write a ``.safetensors`` file with all hyper-parameters in its metadata.

    Parameters
    ----------
    path : Path
        File to write; it is written whole or not at all.
    state : mapping of str to torch.Tensor
        Parameters under their plain names.
    architecture : {"restormer", "swinir"}
        The network.
    hyperparameters : mapping of str to object
        Keyword arguments of its class.
    half : bool
        Whether to store float16: half the size, and a relative error of 2^-11 in each weight.
    card : mapping of str to object, optional
        Fields of the card that cannot be inferred from the weights, as JSON types; see `metadata.CARD_FIELDS`.

    Raises
    ------
    ModelError
        If a weight is too large for float16, or the file cannot be written.
    """
    kept = {key: (value.half() if half else value).contiguous() for key, value in state.items()}
    beyond = [key for key, value in kept.items() if not torch.isfinite(value).all()]
    if half and beyond:
        raise ModelError(f"{beyond[0]} has weights beyond the range of float16; convert without half precision.")
    told = {"card": dict(card)} if card else {}
    content = json.dumps({"architecture": architecture, "hyperparameters": dict(hyperparameters), **told})
    try:
        with fresh_file(path) as fresh:
            # A single key: safetensors writes several in any order, and equal weights should have equal digests.
            save_file(kept, fresh, metadata={METADATA_KEY: content})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be written: {error}; name a file in an existing folder.") from error


def read_network(
    path: Path, expected: tuple[Architecture, Mapping[str, Any]] | None = None
) -> tuple[Entries, Architecture, dict[str, Any]]:
    """Read the parameters of a checkpoint, infer their network, and check that they fit it.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file or a file of ``torch.save`` (any other suffix).
    expected : (str, mapping of str to object), optional
        Architecture and hyper-parameters, as a card gives them; by default they are inferred from the shapes.

    Returns
    -------
    entries : Entries
        The parameters on the CPU, in float32, without prefix.
    architecture : {"restormer", "swinir"}
        The network.
    hyperparameters : dict of str to object
        Keyword arguments of its class.

    Raises
    ------
    ModelError
        If the file is missing or damaged, contains no state dict or several, or is a pickle that would run code; or if
        a parameter is missing, has another shape, or does not belong to the network.
    """
    found = _entries(path)
    if empty := [key for key, value in found.state.items() if key.endswith((".weight", ".bias")) and not value.numel()]:
        raise ModelError(
            f"{path} was not loaded: {empty[0]} of shape {tuple(found.state[empty[0]].shape)} has no values; the file "
            "is damaged, or was cut to the wrong parts. Fetch it again."
        )
    architecture, hyperparameters = expected if expected is not None else infer_architecture(found.state)
    try:
        with torch.device("meta"):  # takes no memory: only names and shapes are compared
            network = build(architecture, hyperparameters)
        entries = found.of(network.state_dict())
        network.load_state_dict(entries.state, assign=True)
    except (ModelError, RuntimeError, ValueError, TypeError) as error:
        reason = fault_of(error).replace("\n", " ")[:400]
        raise ModelError(f"{path} does not fit {architecture} {dict(hyperparameters)}: {reason}") from error
    return entries, architecture, dict(hyperparameters)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the parameters of a checkpoint.

    Parameters
    ----------
    path : Path
        See `read_network`.

    Returns
    -------
    dict of str to torch.Tensor
        Parameters by name without prefix, on the CPU, in float32.

    Raises
    ------
    ModelError
        See `read_network`.
    """
    return read_network(path)[0].state


def _check_tensor(key: str, value: Tensor, path: Path) -> None:
    """Refuse tensors that no training writes, before they take memory or produce a meaningless image."""
    plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    if not plain or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise ModelError(
            f"{path} was not loaded: {key} of shape {tuple(value.shape)} is no plain tensor with all its values in the "
            "file; save the network's state_dict() on a CPU, and load that."
        )
    if value.is_floating_point() and not torch.isfinite(value).all():
        count = int((~torch.isfinite(value)).sum())
        raise ModelError(
            f"{path} was not loaded: {count} of {value.numel()} weights in {key} are NaN or infinite; its training has "
            "failed, or the file is damaged. Take an earlier checkpoint, or fetch it again."
        )


def load_network(
    path: Path, expected: tuple[Architecture, Mapping[str, Any]] | None = None
) -> tuple[nn.Module, Architecture, dict[str, Any]]:
    """Build the network of a checkpoint and load its weights.

    Parameters
    ----------
    path : Path
        See `read_state_dict`.
    expected : (str, mapping of str to object), optional
        Architecture and hyper-parameters, as a card gives them; by default they are inferred from the shapes.

    Returns
    -------
    network : torch.nn.Module
        On the CPU, float32, in evaluation mode.
    architecture : {"restormer", "swinir"}
        The network.
    hyperparameters : dict of str to object
        Keyword arguments of its class.

    Raises
    ------
    ModelError
        See `read_state_dict`; also if the parameters do not fit the architecture.
    """
    entries, architecture, hyperparameters = read_network(path, expected)
    network = build(architecture, hyperparameters)
    network.load_state_dict(entries.state)
    return network, architecture, hyperparameters

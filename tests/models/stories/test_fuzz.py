"""No file can run code, crash or hang the loader: it loads, or there is a `ModelError`."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_restore.errors import ModelError
from napari_restore.models.architecture import build
from napari_restore.models.checkpoint import load_network, read_state_dict
from napari_restore.models.zoo import find_card

FILES = 500


class Calls:
    """Pickles to a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def attacks(target: Path) -> dict[str, object]:
    touch = f"open({str(target)!r}, 'w').close()"
    return {
        "method": Calls(Path.write_text, target, "owned"),
        "system": Calls(os.system, f"touch {target}"),
        "eval": Calls(builtins.eval, touch),
        "exec": Calls(builtins.exec, touch),
        "open": Calls(builtins.open, str(target), "w"),
        "getattr": Calls(builtins.getattr, Calls(__import__, "os"), "system"),
        "torch's own": Calls(torch.save, torch.zeros(1), str(target)),
        "nested": {"params": {"conv_first.weight": Calls(os.mkdir, str(target))}},
        "a key": {Calls(os.mkdir, str(target)): torch.zeros(1)},
    }


@pytest.mark.parametrize("name", attacks(Path()))
@pytest.mark.parametrize("wrapping", ["zip", "legacy", "plain", "named safetensors", "data.pkl alone"])
def test_a_pickle_that_would_touch_a_file_is_refused(tmp_path: Path, name: str, wrapping: str) -> None:
    target, path = tmp_path / "touched", tmp_path / "model.pth"
    content = attacks(target)[name]
    if wrapping in ("zip", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=wrapping == "zip")
    elif wrapping == "data.pkl alone":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
            archive.writestr("archive/version", "3\n")
    else:
        path = path.with_suffix(".safetensors") if wrapping == "named safetensors" else path
        path.write_bytes(pickle.dumps(content))
    for read in (read_state_dict, load_network, find_card):
        with pytest.raises(ModelError):
            read(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    parameters = {"in_channels": 1, "embed_dim": 4, "depths": (1,), "heads": (1,), "window": 2, "head": "none"}
    return build("swinir", parameters).state_dict()


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damaged_files_are_typed_errors(tmp_path: Path, state: dict[str, torch.Tensor], kind: str) -> None:
    from safetensors.torch import save

    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.pth")
    stream = io.BytesIO()
    torch.save({"params": state}, stream, _use_new_zipfile_serialization=kind == "zip")
    whole = save(state) if kind == "safetensors" else stream.getvalue()
    tensors = sum(value.numel() * value.element_size() for value in state.values())
    rng = np.random.default_rng(len(kind))
    refused = 0
    for trial in range(FILES):
        if trial % 2:
            damaged = whole[: int(rng.integers(len(whole)))]
        else:
            # Behind its header a safetensors file has no redundancy; a legacy file has the tensors at its end.
            unprotected = {"zip": 0, "legacy": tensors, "safetensors": tensors}[kind]
            position, bit = int(rng.integers(len(whole) - unprotected)), int(rng.integers(8))
            damaged = whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1 :]
        path.write_bytes(damaged)
        try:
            network, _, _ = load_network(path)
        except ModelError:
            refused += 1
            continue
        assert trial % 2 == 0, "a truncated file was loaded"
        # What a flip leaves loadable is what no reader needs, such as a date; the weights are the same.
        if kind == "zip":
            assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert refused > FILES // 2

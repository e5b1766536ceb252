from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from noisy_planes import noisy_blobs
from safetensors.torch import save_file
from seeded_weights import fill

from napari_restore.models.architecture import build

TINY = {
    "denoiser": (
        "restormer",
        {"in_channels": 1, "out_channels": 1, "dim": 8, "blocks": (1, 1, 1, 1), "refinement_blocks": 1,
         "heads": (1, 1, 1, 1), "layer_norm": "BiasFree"},
    ),
    "colour_denoiser": (
        "restormer",
        {"in_channels": 3, "out_channels": 3, "dim": 8, "blocks": (1, 1, 1, 1), "refinement_blocks": 1,
         "heads": (1, 1, 1, 1), "layer_norm": "BiasFree"},
    ),
    "upscaler": (
        "swinir",
        {"in_channels": 1, "embed_dim": 12, "depths": (2,), "heads": (2,), "window": 8, "scale": 2,
         "head": "pixelshuffledirect"},
    ),
    "local": (
        "swinir",
        {"in_channels": 1, "embed_dim": 12, "depths": (2,), "heads": (2,), "window": 8, "head": "none"},
    ),
}  # fmt: skip
"""Networks small enough for a test: a real checkpoint of each kind, with random weights."""


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of the `TINY` networks."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, (architecture, hyperparameters) in TINY.items():
        network = build(architecture, hyperparameters)  # type: ignore[arg-type]
        fill(network, seed=len(name))
        save_file(network.state_dict(), folder / f"{name}.safetensors", metadata={"name": json.dumps(name)})
    return {name: folder / f"{name}.safetensors" for name in TINY}


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the user's cache holds has no say in what is chosen, here or in processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Networks this small spend longer waking threads than computing."""
    torch.set_num_threads(1)


@pytest.fixture
def stack() -> np.ndarray:
    """Noisy uint16 blobs, ZYX, of ragged size."""
    return noisy_blobs()

"""Networks as ONNX, in onnxruntime where it is installed (`tox -e exports`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_restore import api
from napari_restore.errors import ModelError, RecipeError
from napari_restore.exporting.checking import local_network


def largest_difference(model: str | Path, file: Path, tile: int) -> float:
    """Largest difference of onnxruntime from torch on one tile of noise."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; see `tox -e exports`")
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    api.export_onnx(model, file, tile=tile)
    card, network = local_network(api.model_card(model))
    image = np.random.default_rng(0).random((1, card.in_channels, tile, tile), dtype=np.float32)
    (found,) = runtime.InferenceSession(file).run(["output"], {"input": image})
    with torch.no_grad():
        expected = network(torch.from_numpy(image)).numpy()
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("kind", ["denoiser", "upscaler", "colour_denoiser"])
def test_onnxruntime_computes_the_same(checkpoints: dict[str, Path], tmp_path: Path, kind: str) -> None:
    assert largest_difference(checkpoints[kind], tmp_path / "a.onnx", 48) < 1e-4


@pytest.mark.long
@pytest.mark.parametrize("model", ["restormer-denoise-light", "swinir-denoise-light", "swinir-x2-light"])
def test_bundled_models_compute_the_same(tmp_path: Path, model: str) -> None:
    assert largest_difference(model, tmp_path / "a.onnx", 128) < 1e-4


def test_a_wrong_tile_or_file_is_said_before_any_work(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"tile 50 is not a multiple of 8 .*; use 48 or 56"):
        api.export_onnx(checkpoints["denoiser"], tmp_path / "a.onnx", tile=50)
    with pytest.raises(ModelError, match=r"does not end in \.onnx"):
        api.export_onnx(checkpoints["denoiser"], tmp_path / "a.zip")

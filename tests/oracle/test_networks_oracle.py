"""Our two networks against the authors' own, as spandrel packages them, on the same weights and images.

Run by ``tox -e oracle``; elsewhere spandrel is not installed and there is nothing to compare with.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("spandrel") is None:
    pytest.skip("spandrel is not installed: run `tox -e oracle`", allow_module_level=True)

import numpy as np
import torch
from golden_cases import CASES, FOLDER, golden_image, golden_output
from oracle.reference_networks import reference, reference_restormer, reference_swinir
from published import RESTORMER, SWINIR
from seeded_weights import DERIVED, fill, parameter_shapes, seeded_image
from torch import Tensor, nn

from napari_restore.models.zoo import bundled_cards
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5
SIZES = {"whole windows": (56, 56), "ragged": (37, 50)}  # 56 is a multiple of both windows, 7 and 8

# Not published: switches that fine-tuned files use, and sizes that tell a transposed axis from a right one.
UNUSUAL_SWINIR: dict[str, dict[str, Any]] = {
    "window 5, odd depths": {"window": 5, "depths": (3, 2), "heads": (2, 4)},
    "wide mlp": {"mlp_ratio": 4.0},
    "3conv without upsampling": {"residual_conv": "3conv"},
    "window 16": {"window": 16},
}
UNUSUAL_RESTORMER: dict[str, dict[str, Any]] = {
    "biases everywhere": {"bias": True},
    "biases and BiasFree norms": {"bias": True, "layer_norm": "BiasFree"},
    "expansion 2, uneven blocks": {"expansion": 2.0, "blocks": (2, 1, 3, 2), "refinement_blocks": 2},
    "six channels, dual pixel with biases": {"in_channels": 6, "dual_pixel": True, "bias": True},
}


def infer(network: nn.Module, image: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(image)


def assert_equal(ours: nn.Module, theirs: nn.Module, image: Tensor) -> None:
    """Same keys and shapes, weights exchanged both ways, same result to `TOLERANCE`."""
    assert parameter_shapes(ours.state_dict()) == parameter_shapes(theirs.state_dict())
    fill(theirs, seed=11)
    ours.load_state_dict(theirs.state_dict())
    expected = infer(theirs, image)
    assert torch.isfinite(expected).all()
    assert expected.std() > 0.05, "weights that blank the image prove nothing"

    result = infer(ours.eval(), image)
    assert result.shape == expected.shape
    assert (result - expected).abs().max() <= TOLERANCE

    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(1)
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert unexpected == []
    assert [key for key in missing if not key.endswith(DERIVED)] == []
    for key, parameter in theirs.named_parameters():
        assert torch.equal(parameter, ours.get_parameter(key)), key


@pytest.mark.parametrize("name", SWINIR)
@pytest.mark.parametrize("size", SIZES)
def test_published_swinir(name: str, size: str) -> None:
    parameters, patch, count = SWINIR[name]
    theirs = reference_swinir(parameters, patch)
    assert sum(parameter.numel() for parameter in theirs.parameters()) == count
    image = seeded_image((1, parameters["in_channels"], *SIZES[size]), seed=3)
    assert_equal(SwinIR(**parameters), theirs, image)


@pytest.mark.parametrize("name", RESTORMER)
@pytest.mark.parametrize("size", [(64, 64), (40, 96)])
def test_published_restormer(name: str, size: tuple[int, int]) -> None:
    parameters, count = RESTORMER[name]
    theirs = reference_restormer(parameters)
    assert sum(parameter.numel() for parameter in theirs.parameters()) == count
    image = seeded_image((1, parameters["in_channels"], *size), seed=4)
    assert_equal(Restormer(**parameters), theirs, image)


@pytest.mark.parametrize("name", UNUSUAL_SWINIR)
def test_unusual_swinir(name: str) -> None:
    small = {"in_channels": 1, "out_channels": 1, "embed_dim": 16, "depths": (2, 2), "heads": (2, 2), "window": 8}
    parameters = {**small, "scale": 1, "head": "none", **UNUSUAL_SWINIR[name]}
    assert_equal(SwinIR(**parameters), reference_swinir(parameters), seeded_image((2, 1, 37, 52), seed=5))


@pytest.mark.parametrize("name", UNUSUAL_RESTORMER)
def test_unusual_restormer(name: str) -> None:
    small = {"in_channels": 3, "out_channels": 3, "dim": 8, "blocks": (1, 1, 1, 1), "heads": (1, 2, 4, 8)}
    small |= {"refinement_blocks": 1, "expansion": 2.66, "layer_norm": "WithBias"}
    parameters = {**small, **UNUSUAL_RESTORMER[name]}
    image = seeded_image((2, parameters["in_channels"], 32, 48), seed=6)
    assert_equal(Restormer(**parameters), reference_restormer(parameters), image)


@pytest.mark.parametrize("name", CASES)
def test_goldens_are_what_the_reference_makes(name: str) -> None:
    """Guards the files under tests/networks/golden against going stale; ``tox -e goldens`` writes them anew."""
    case = CASES[name]
    output = golden_output(reference(case["network"], case["parameters"]), golden_image(name))
    with np.load(FOLDER / f"{name}.npz") as file:
        assert np.abs(output.numpy() - file["output"]).max() <= TOLERANCE


def test_the_benchmark_compares_every_bundled_network(tmp_path: Path) -> None:
    """It gives the authors' networks the parameters that they have; ours have more."""
    bundled = [card.name for card in bundled_cards()]
    command = [sys.executable, "-m", "benchmarks.networks", *bundled, "--side", "40", "--rounds", "1"]
    paths = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    subprocess.run([*command, "--json", str(tmp_path / "found.json")], cwd=ROOT, env=paths, check=True)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["theirs"] == "authors'" and [row["network"] for row in found["rows"]] == bundled
    assert max(row["difference"] for row in found["rows"]) <= TOLERANCE

"""Files in each of the authors' layouts, loaded by path, against the networks that they were saved from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

if importlib.util.find_spec("spandrel") is None:
    pytest.skip("spandrel is not installed: run `tox -e oracle`", allow_module_level=True)

import torch
from oracle.reference_networks import reference_restormer, reference_swinir
from published import RESTORMER, SWINIR
from seeded_weights import DERIVED, fill, seeded_image
from torch import nn

from napari_restore.models.checkpoint import load_network


def theirs(name: str) -> tuple[nn.Module, int]:
    """One of the authors' networks with seeded weights, and its input channels."""
    if name in SWINIR:
        parameters, patch, _ = SWINIR[name]
        network = reference_swinir(parameters, patch)
    else:
        parameters, _ = RESTORMER[name]
        network = reference_restormer(parameters)
    fill(network, seed=5)
    return network.eval(), parameters["in_channels"]


@pytest.mark.parametrize("buffers", [True, False])
@pytest.mark.parametrize("layout", ["flat", "params", "params_ema"])
@pytest.mark.parametrize("name", ["lightweight-x2", "gray-jpeg", "gaussian-gray"])
def test_a_file_by_path_equals_the_network_it_was_saved_from(
    tmp_path: Path, name: str, layout: str, buffers: bool
) -> None:
    network, channels = theirs(name)
    state = {key: value for key, value in network.state_dict().items() if buffers or not key.endswith(DERIVED)}
    torch.save(state if layout == "flat" else {layout: state}, tmp_path / "model.pth")
    ours, _, _ = load_network(tmp_path / "model.pth")
    image = seeded_image((1, channels, 49 if name == "gray-jpeg" else 48, 56), seed=9)
    with torch.inference_mode():
        assert (ours(image) - network(image)).abs().max() <= 1e-5

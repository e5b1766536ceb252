"""The networks reproduce what the reference implementations made of the same weights and images (see tests/oracle)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_cases import CASES, FOLDER, golden_image, golden_output
from torch import Tensor, nn

from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR

CLASSES: dict[str, type[nn.Module]] = {"SwinIR": SwinIR, "Restormer": Restormer}


def build(name: str) -> nn.Module:
    return CLASSES[CASES[name]["network"]](**CASES[name]["parameters"])


def golden(name: str) -> tuple[Tensor, Tensor]:
    with np.load(FOLDER / f"{name}.npz") as file:
        return torch.from_numpy(file["image"]), torch.from_numpy(file["output"])


def test_each_case_has_its_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.npz")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_input_follows_the_recipe(name: str) -> None:
    image, _ = golden(name)
    torch.testing.assert_close(golden_image(name), image, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_output_equals_the_reference(name: str) -> None:
    image, expected = golden(name)
    output = golden_output(build(name), image)
    assert output.shape == expected.shape
    assert (output - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ["swinir_none_3conv", "swinir_nearest_x4_3conv", "restormer_dual_pixel"])
def test_golden_notices_every_parameter(name: str) -> None:
    """A file that some parameter does not show in would prove nothing about it."""
    image, expected = golden(name)
    network = build(name)
    golden_output(network, image)
    with torch.inference_mode():
        for key, parameter in network.named_parameters():
            parameter.mul_(2.0)
            change = (network(image) - expected).abs().max()
            parameter.div_(2.0)
            assert change > 1e-4, key

from __future__ import annotations

from typing import Any

import pytest
import torch
from published import RESTORMER
from seeded_weights import fill, seeded_image
from torch import Tensor

from napari_restore.networks.restormer import Restormer

VARIANTS = [
    pytest.param({"layer_norm": "BiasFree"}, id="BiasFree"),
    pytest.param({"layer_norm": "WithBias"}, id="WithBias"),
    pytest.param({"layer_norm": "WithBias", "bias": True}, id="WithBias-biases"),
    pytest.param({"layer_norm": "WithBias", "dual_pixel": True, "in_channels": 6, "out_channels": 3}, id="dual-pixel"),
]


def tiny(seed: int = 1, **parameters: Any) -> Restormer:
    """Few blocks and features, with seeded weights."""
    small = {"in_channels": 1, "out_channels": 1, "dim": 8, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 4)}
    network = Restormer(**{**small, "refinement_blocks": 1, "layer_norm": "BiasFree", **parameters})
    fill(network, seed)
    return network.eval()


def infer(network: Restormer, image: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(image)


def image_for(network_parameters: dict[str, Any], size: tuple[int, int], *, batch: int = 1) -> Tensor:
    return seeded_image((batch, network_parameters.get("in_channels", 1), *size), seed=1)


@pytest.mark.parametrize("name", RESTORMER)
def test_parameters_of_the_published_networks(name: str) -> None:
    parameters, count = RESTORMER[name]
    with torch.device("meta"):
        network = Restormer(**parameters)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("parameters", VARIANTS)
@pytest.mark.parametrize("size", [(8, 8), (8, 40), (24, 16)])
def test_any_multiple_of_eight(parameters: dict[str, Any], size: tuple[int, int]) -> None:
    output = infer(tiny(**parameters), image_for(parameters, size, batch=2))
    assert output.shape == (2, parameters.get("out_channels", 1), *size)
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("parameters", VARIANTS)
def test_gradients_reach_every_parameter(parameters: dict[str, Any]) -> None:
    network = tiny(**parameters).train()
    network(image_for(parameters, (16, 16))).square().sum().backward()
    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


def test_bias_free_norm_keeps_the_mean_and_drops_the_scale() -> None:
    norm = tiny().encoder_level1[0].norm1
    features = seeded_image((1, 8, 4, 4), seed=2)
    torch.testing.assert_close(norm(40 * features), norm(features), rtol=1e-3, atol=1e-4)
    assert (norm(features + 1) - norm(features)).abs().max() > 0.1


def test_norm_with_bias_drops_both() -> None:
    norm = tiny(layer_norm="WithBias").encoder_level1[0].norm1
    features = seeded_image((1, 8, 4, 4), seed=2)
    torch.testing.assert_close(norm(40 * features + 1), norm(features), rtol=1e-3, atol=1e-3)


def test_brightness_does_not_pass_through() -> None:
    """f(a x) is not a f(x), also without biases: the norm gives every branch the same input at any exposure, and its
    output is added to features that are not. So the range an image is brought to matters."""
    network, image = tiny(), seeded_image((1, 1, 24, 24), seed=2)
    expected = 3 * infer(network, image)
    assert (infer(network, 3 * image) - expected).abs().max() > 0.1 * expected.abs().max()


def test_bias_free_network_leaves_black_black() -> None:
    assert not infer(tiny(), torch.zeros(1, 1, 16, 16)).any()


def test_body_is_a_residual() -> None:
    network, image = tiny(), seeded_image((1, 1, 16, 24), seed=3)
    with torch.no_grad():
        network.output.weight.zero_()
    torch.testing.assert_close(infer(network, image), image, rtol=0, atol=0)


def test_two_views_have_no_residual() -> None:
    parameters: dict[str, Any] = {"in_channels": 6, "out_channels": 3, "dual_pixel": True}
    network = tiny(**parameters)
    with torch.no_grad():
        network.output.weight.zero_()
    assert not infer(network, image_for(parameters, (16, 16))).any()


def test_attention_sees_the_whole_image() -> None:
    """Why a tile never equals the whole image: a far corner changes the result everywhere."""
    network, image = tiny(), seeded_image((1, 1, 16, 512), seed=4)
    changed = image.clone()
    changed[..., -16:] += 1
    # 512 px is past the reach of the tiny network's convolutions.
    assert (infer(network, changed) - infer(network, image))[..., :8].abs().max() > 1e-5


def test_images_of_a_batch_are_apart() -> None:
    network, images = tiny(), seeded_image((3, 1, 16, 24), seed=5)
    together = infer(network, images)
    for index in range(3):
        torch.testing.assert_close(together[index : index + 1], infer(network, images[index : index + 1]))


@pytest.mark.parametrize("layer_norm", ["BiasFree", "WithBias"])
def test_flat_and_huge_images_stay_finite(layer_norm: str) -> None:
    network = tiny(layer_norm=layer_norm)
    for value in (0.0, 1e-6, 1.0, 1e4):
        assert torch.isfinite(infer(network, torch.full((1, 1, 16, 16), value))).all()


def test_bfloat16_is_close() -> None:
    network, image = tiny(), seeded_image((1, 1, 24, 24), seed=6)
    expected = infer(network, image)
    result = infer(network.to(torch.bfloat16), image.to(torch.bfloat16))
    assert result.dtype == torch.bfloat16
    assert (result.float() - expected).abs().mean() < 0.1 * expected.abs().mean()


def test_exports() -> None:
    """The graph has no step that depends on values, so `torch.compile` has nothing to break at."""
    network, image = tiny(), seeded_image((1, 1, 16, 24), seed=7)
    with torch.no_grad():
        program = torch.export.export(network, (image,))
        torch.testing.assert_close(program.module()(image), network(image))

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from published import SWINIR
from seeded_weights import fill, seeded_image
from torch import Tensor

from napari_restore.networks.swinir import SwinIR

HEADS = [
    pytest.param({"head": "none"}, id="none"),
    pytest.param({"head": "none", "residual_conv": "3conv", "window": 7, "img_range": 255.0}, id="none-3conv-window7"),
    pytest.param({"head": "pixelshuffle", "scale": 3}, id="pixelshuffle-x3"),
    pytest.param({"head": "pixelshuffle", "scale": 8}, id="pixelshuffle-x8"),
    pytest.param({"head": "pixelshuffledirect", "scale": 2}, id="pixelshuffledirect-x2"),
    pytest.param({"head": "nearest+conv", "scale": 2}, id="nearest-x2"),
    pytest.param({"head": "nearest+conv", "scale": 4, "residual_conv": "3conv"}, id="nearest-x4-3conv"),
]


def tiny(seed: int = 1, **parameters: Any) -> SwinIR:
    """One block of a plain and a shifted layer, with seeded weights."""
    small = {"in_channels": 1, "embed_dim": 8, "depths": (2,), "heads": (2,), "window": 8}
    network = SwinIR(**{**small, **parameters})
    fill(network, seed)
    return network.eval()


def infer(network: SwinIR, image: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(image)


@pytest.mark.parametrize("name", SWINIR)
def test_parameters_of_the_published_networks(name: str) -> None:
    parameters, _, count = SWINIR[name]
    with torch.device("meta"):
        network = SwinIR(**parameters)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("parameters", HEADS)
@pytest.mark.parametrize("size", [(1, 1), (1, 11), (7, 8), (17, 30)])
def test_any_size(parameters: dict[str, Any], size: tuple[int, int]) -> None:
    network = tiny(**parameters)
    output = infer(network, seeded_image((2, 1, *size), seed=1))
    scale = parameters.get("scale", 1)
    assert output.shape == (2, 1, size[0] * scale, size[1] * scale)
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("parameters", HEADS)
def test_gradients_reach_every_parameter(parameters: dict[str, Any]) -> None:
    network = tiny(**parameters, in_channels=3).train()
    network(seeded_image((1, 3, 19, 16), seed=2)).square().sum().backward()
    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


def test_moves_with_the_image_by_whole_windows() -> None:
    """Why tile origins lie on the window grid: a crop there is restored as the whole image is, away from its edge."""
    network, image = tiny(), seeded_image((1, 1, 80, 80), seed=3)
    inner = (..., slice(24, 40), slice(24, 40))  # of a 64 px crop; the two layers reach less than 24 px
    whole = infer(network, image)
    aligned = infer(network, image[..., 16:, 8:72])
    assert (aligned[inner] - whole[..., 16:, 8:72][inner]).abs().max() < 1e-5
    half_a_window_off = infer(network, image[..., 4:68, 4:68])
    assert (half_a_window_off[inner] - whole[..., 4:68, 4:68][inner]).abs().max() > 1e-2


def test_shifted_windows_do_not_join_opposite_borders() -> None:
    network, image = tiny(), seeded_image((1, 1, 48, 48), seed=4)
    changed = image.clone()
    changed[..., :4, :] += 1
    assert (infer(network, changed) - infer(network, image))[..., -8:, :].abs().max() < 1e-6


def test_images_of_a_batch_are_apart() -> None:
    network = tiny(head="pixelshuffledirect", scale=2)
    images = seeded_image((3, 1, 20, 13), seed=5)
    together = infer(network, images)
    for index in range(3):
        torch.testing.assert_close(together[index : index + 1], infer(network, images[index : index + 1]))


def test_sizes_do_not_influence_each_other() -> None:
    """Masks are kept from one call to the next."""
    network = tiny()
    images = [seeded_image((1, 1, *size), seed=6) for size in ((24, 16), (16, 24), (32, 32), (24, 16))]
    in_turn = [infer(network, image) for image in images]
    for image, output in zip(images, in_turn, strict=True):
        torch.testing.assert_close(infer(tiny(), image), output, rtol=0, atol=0)


def test_without_an_upsampling_head_the_body_is_a_residual() -> None:
    network = tiny(in_channels=3)
    with torch.no_grad():
        network.conv_last.weight.zero_()
        network.conv_last.bias.zero_()
    image = seeded_image((1, 3, 16, 21), seed=7)
    torch.testing.assert_close(infer(network, image), image, rtol=0, atol=1e-6)


def test_mean_and_range_cancel_where_the_body_is_silent() -> None:
    """The direct head has no residual: with silent weights what is left is the mean alone."""
    network = tiny(in_channels=3, head="pixelshuffledirect", scale=2, img_range=255.0)
    with torch.no_grad():
        for parameter in network.upsample.parameters():
            parameter.zero_()
    output = infer(network, seeded_image((1, 3, 8, 8), seed=8))
    expected = torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1).expand_as(output)
    torch.testing.assert_close(output, expected)


def test_state_dict_is_parameters_alone() -> None:
    network = tiny()
    infer(network, seeded_image((1, 1, 16, 16), seed=9))
    assert set(network.state_dict()) == {key for key, _ in network.named_parameters()}


def test_loads_files_with_buffers_of_another_size() -> None:
    network = tiny()
    state = network.state_dict()
    state["layers.0.residual_group.blocks.1.attn_mask"] = torch.zeros(64, 64, 64)
    state["layers.0.residual_group.blocks.0.attn.relative_position_index"] = torch.zeros(64, 64, dtype=torch.long)
    tiny(seed=2).load_state_dict(state)


def test_refuses_a_file_of_another_network() -> None:
    state = tiny().state_dict()
    state["layers.0.extra"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match="extra"):
        tiny().load_state_dict(state)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"head": "pixelshuffle", "scale": 5}, "5"),
        ({"head": "nearest+conv", "scale": 3}, "3"),
        ({"head": "none", "scale": 2}, "2"),
        ({"head": "bicubic"}, "bicubic"),
    ],
)
def test_refuses_heads_that_are_not(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**parameters)


def test_survives_pickling() -> None:
    """Workers of a cluster get the network this way, also after its first use."""
    network, image = tiny(), seeded_image((1, 1, 16, 24), seed=10)
    expected = infer(network, image)
    torch.testing.assert_close(infer(pickle.loads(pickle.dumps(network)), image), expected, rtol=0, atol=0)


def test_bfloat16_is_close() -> None:
    network, image = tiny(), seeded_image((1, 1, 24, 24), seed=11)
    expected = infer(network, image)
    result = infer(network.to(torch.bfloat16), image.to(torch.bfloat16))
    assert result.dtype == torch.bfloat16
    assert (result.float() - expected).abs().max() < 0.1 * expected.abs().max()


def test_trains_on_a_size_it_has_inferred_at() -> None:
    """The mask that inference mode has left behind must not stop autograd."""
    network, image = tiny(), seeded_image((1, 1, 16, 24), seed=12)
    infer(network, image)
    network.train()(image).sum().backward()
    assert network.conv_first.weight.grad is not None


def test_exports() -> None:
    """The graph has no step that depends on values, so `torch.compile` has nothing to break at."""
    network, image = tiny(), seeded_image((1, 1, 16, 24), seed=13)
    with torch.no_grad():
        program = torch.export.export(network, (image,))
        torch.testing.assert_close(program.module()(image), network(image))

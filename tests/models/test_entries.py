"""Checkpoints as training programs save them: loaded, or refused with the entry that is too many."""

from __future__ import annotations

import argparse
import pathlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_restore import api
from napari_restore.errors import ModelError, RecipeError
from napari_restore.models.checkpoint import load_network
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR

State = dict[str, torch.Tensor]
SMALL: dict[str, dict[str, Any]] = {
    "restormer": {
        "in_channels": 1, "out_channels": 1, "dim": 8, "blocks": (1,) * 4, "refinement_blocks": 1,
        "heads": (1, 2, 4, 8), "expansion": 2.66, "bias": False, "layer_norm": "BiasFree", "dual_pixel": False,
    },
    "swinir": {"in_channels": 1, "embed_dim": 16, "depths": (2, 2), "heads": (2, 2)},
}  # fmt: skip
WIDE = {**SMALL["swinir"], "scale": 2, "head": "pixelshuffle"}


def network(architecture: str = "restormer", **more: Any) -> State:
    torch.manual_seed(0)
    made = {"restormer": Restormer, "swinir": SwinIR}[architecture](**{**SMALL[architecture], **more})
    return dict(made.state_dict())


def below(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def halved(state: State) -> State:
    return {key: value * 0.5 for key, value in state.items()}


def split(state: State) -> dict[str, Any]:
    """Half of the names in a wrapper."""
    names = sorted(state)
    return {"model": {k: state[k] for k in names[::2]}, **{k: state[k] for k in names[1::2]}}


RIGHT: dict[str, Callable[[State], Any]] = {
    "averaged copy, counter": lambda s: {
        "state_dict": {"step_counter": torch.tensor(3), **below("generator.", halved(s)), **below("generator_ema.", s)}
    },
    "averaged copy of another program": lambda s: {
        **below("online_model.", halved(s)), **below("ema_model.", s), "initted": torch.tensor(True),
    },
    "stochastic average": lambda s: {"n_averaged": torch.tensor(12), **below("module.", s)},
    "counter beside a flat network": lambda s: {**s, "n_averaged": torch.tensor(12), "step": torch.tensor([5])},
    "buffers of another module": lambda s: {**below("generator.", s), "data_preprocessor.mean": torch.zeros(1, 1, 1)},
    "a loss beside it": lambda s: {
        "state_dict": {**below("model.", s), "loss.vgg.features.0.weight": torch.zeros(4, 3, 3, 3)}, "epoch": 3,
    },
    "a loss beside a flat network": lambda s: {**s, "perceptual_loss.vgg": torch.zeros(4), "psnr.sum": torch.ones(1)},
    "any prefix": lambda s: {"state_dict": below("lit.denoiser.inner.", s)},
    "any wrapper": lambda s: {"generator_state_dict": s, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    "wrappers in wrappers": lambda s: {"model": {"state_dict": {"params": s}}},
    "half of the keys in a wrapper": split,
    "compiled and parallel": lambda s: below("module._orig_mod.", s),
    "numbers of numpy": lambda s: {"epoch": np.int64(4), "psnr": np.float64(30.1), "lr": np.float32(1), "net": s},
    "arrays of numpy": lambda s: {"history": np.arange(3.0), "state_dict": s},
    "paths and options": lambda s: {
        "hyper_parameters": {"root": pathlib.PurePosixPath("/data")}, "args": argparse.Namespace(lr=1e-4), "params": s,
    },
    "half precision": lambda s: {"params": {k: v.half().float() for k, v in s.items()}},
}  # fmt: skip


@pytest.mark.parametrize("architecture", ["restormer", "swinir"])
@pytest.mark.parametrize("form", RIGHT)
def test_the_network_is_found(form: str, architecture: str, tmp_path: Path) -> None:
    state = network(architecture)
    content = RIGHT[form](state)
    expected = {k: v.half().float() for k, v in state.items()} if form == "half precision" else state
    torch.save(content, tmp_path / "model.pth")
    loaded, found, _ = load_network(tmp_path / "model.pth")
    assert found == architecture
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, expected[key]), key
    # All three ways agree.
    card = api.model_card(tmp_path / "model.pth")
    converted = api.convert_model(tmp_path / "model.pth", tmp_path / "converted.safetensors")
    assert card.parameters == converted.parameters and card.hyperparameters == converted.hyperparameters
    again, _, _ = load_network(tmp_path / "converted.safetensors")
    assert all(torch.equal(value, expected[key]) for key, value in again.state_dict().items())


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    torch.save(RIGHT["averaged copy, counter"](network()), tmp_path / "model.pth")
    title = api.model_card(tmp_path / "model.pth").title
    assert "its state_dict.generator_ema; left out: step_counter, generator" in title
    torch.save({"params": network()}, tmp_path / "plain.pth")
    assert api.model_card(tmp_path / "plain.pth").title == "plain.pth, a restormer checkpoint"


def test_safetensors_with_a_prefix(tmp_path: Path) -> None:
    save_file(below("params_ema.", network()), tmp_path / "model.safetensors")
    assert api.model_card(tmp_path / "model.safetensors").architecture == "restormer"


WRONG: dict[str, tuple[Callable[[State], Any], str]] = {
    "a parameter of its own": (lambda s: {**s, "gate.weight": torch.zeros(3, 3)}, r"1 parameters too many.*gate"),
    "a scale within": (lambda s: {**s, "latent.0.gamma": torch.ones(8)}, r"latent\.0\.gamma"),
    "a parameter without a module": (lambda s: {**s, "residual_scale": torch.ones(8)}, "residual_scale"),
    "two networks": (lambda s: {"netG_A": s, "netG_B": halved(s)}, "several networks, 'netG_A' and 'netG_B'"),
    "one is missing": (lambda s: {k: v for k, v in s.items() if k != "output.weight"}, "output.weight"),
    "one is missing in a wrapper": (
        lambda s: {"params": {k: v for k, v in s.items() if k != "refinement.0.norm1.body.weight"}}, "refinement"
    ),
    "one of another shape": (lambda s: {**s, "output.weight": torch.zeros(1, 16, 5, 5)}, "size mismatch"),
    "a list": (lambda s: list(s.values()), "holds no state dict"),
    "a module": (lambda s: Restormer(**SMALL["restormer"]), r"more than tensors \(napari_restore\.networks"),
}  # fmt: skip


@pytest.mark.parametrize("form", WRONG)
def test_all_ways_refuse_before_anything_is_made(form: str, tmp_path: Path) -> None:
    make, told = WRONG[form]
    torch.save(make(network()), tmp_path / "model.pth")
    pixels = np.zeros((64, 64), np.uint16)
    with pytest.raises(ModelError, match=told):
        api.model_card(tmp_path / "model.pth")
    with pytest.raises(ModelError, match=told):
        api.convert_model(tmp_path / "model.pth", tmp_path / "converted.safetensors")
    with pytest.raises(ModelError, match=told):
        api.denoise(pixels, output=tmp_path / "out.zarr", model=tmp_path / "model.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_weights_that_are_marked_as_a_folder_are_refused(tmp_path: Path) -> None:
    """By one flipped bit, which no checksum covers; torch 2.6 took what was in memory for these weights."""
    torch.save(network(), tmp_path / "model.pth")
    content = bytearray((tmp_path / "model.pth").read_bytes())
    content[content.rindex(b"PK\x01\x02", 0, content.rindex(b"data/0")) + 38] |= 0x10
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(ModelError, match="weights are a folder"):
        api.model_card(tmp_path / "model.pth")


def test_a_program_of_torchscript_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and such files are still around
        torch.jit.script(torch.nn.Conv2d(1, 1, 3)).save(str(tmp_path / "model.pt"))
    with pytest.raises(ModelError, match="TorchScript"):
        api.model_card(tmp_path / "model.pt")


def test_weights_that_change_after_planning_make_no_output(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "model.pth")
    plan = api.plan(np.ones((64, 64), np.uint16), model=tmp_path / "model.pth")
    torch.save(halved(network()), tmp_path / "model.pth")
    with pytest.raises(ModelError, match="the file has changed"):
        list(api.run(plan, tmp_path / "out.zarr"))
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    "more", [{"qkv_bias": False}, {"patch_norm": False}, {"features": 48}, {"features": 32, "head": "nearest+conv"}]
)
def test_variants_of_swinir(more: dict[str, Any], tmp_path: Path) -> None:
    settings = {**WIDE, **more} if "features" in more else {**SMALL["swinir"], **more}
    torch.manual_seed(0)
    made = SwinIR(**settings).eval()
    torch.save({"params": made.state_dict()}, tmp_path / "model.pth")
    loaded, _, found = load_network(tmp_path / "model.pth")
    assert {key: found[key] for key in more} == more
    image = torch.rand(1, 1, 24, 24)
    with torch.inference_mode():
        assert torch.equal(loaded(image), made(image))
    plain = load_network_of(SwinIR(**SMALL["swinir"]), tmp_path)
    assert not {"qkv_bias", "patch_norm", "features"} & plain.keys()


def load_network_of(made: SwinIR, folder: Path) -> dict[str, Any]:
    torch.save(made.state_dict(), folder / "plain.pth")
    return load_network(folder / "plain.pth")[2]


def with_positions(folder: Path, **more: Any) -> tuple[SwinIR, Path]:
    """Save a network with absolute positions for 32 x 32 pixels that matter."""
    torch.manual_seed(0)
    made = SwinIR(**{**SMALL["swinir"], "absolute_positions": 32, **more}).eval()
    with torch.no_grad():
        made.absolute_pos_embed.normal_(std=2.0)
    torch.save({"params": made.state_dict()}, folder / "positions.pth")
    return made, folder / "positions.pth"


def test_absolute_positions(tmp_path: Path) -> None:
    made, path = with_positions(tmp_path)
    card = api.model_card(path)
    assert (card.largest_tile, card.tile, card.exact_tiles) == (32, 32, False)
    image = np.random.default_rng(0).random((32, 32), np.float32)
    with torch.inference_mode():
        expected = made(torch.tensor(image[None, None]))[0, 0].numpy()
        positions = made.absolute_pos_embed.clone()
        made.absolute_pos_embed.zero_()
        without = made(torch.tensor(image[None, None]))[0, 0].numpy()
        made.absolute_pos_embed.copy_(positions)
    given: dict[str, Any] = {"model": path, "intensity": "range", "value_range": (0, 1), "device": "cpu"}
    result = np.asarray(api.denoise(image, **given))
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert np.abs(result - without).max() > 0.01
    # Larger images are restored in tiles of that size, smaller ones are padded to it.
    large = np.asarray(api.denoise(np.tile(image, (3, 4)), **given))
    assert large.shape == (96, 128)
    assert np.isfinite(large).all()
    small = np.asarray(api.denoise(image[:24, :24], **given))
    with torch.inference_mode():
        np.testing.assert_allclose(small, made(torch.tensor(image[None, None, :24, :24]))[0, 0].numpy(), atol=1e-5)


@pytest.mark.parametrize("settings", [{"tile": 64}, {"padding": "authors"}])
def test_tiles_larger_than_the_absolute_positions_are_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    _, path = with_positions(tmp_path)
    with pytest.raises(RecipeError, match=r"larger than the 32 x 32 pixels .* tile=32 or less"):
        api.plan(np.ones((100, 100), np.uint16), model=path, **settings)
    assert api.plan(np.ones((100, 100), np.uint16), model=path, tile=32).recipe.tile == 32


def test_no_denoiser_before_absolute_positions(tmp_path: Path) -> None:
    _, path = with_positions(tmp_path, head="pixelshuffledirect", scale=2)
    image = np.random.default_rng(0).poisson(9, (64, 64)).astype(np.uint16)
    with pytest.raises(ModelError, match="takes no larger tiles than 32"):
        api.plan(image, model=path, denoise="restormer-denoise-light")
    plan = api.plan(image, model=path, denoise="auto")
    assert (plan.recipe.denoise, plan.shape) == ("none", (128, 128))


@pytest.mark.parametrize(("pixels", "said"), [(1000, "1000 pixels"), (36, "not a multiple of the window")])
def test_absolute_positions_that_fit_no_image(pixels: int, said: str, tmp_path: Path) -> None:
    torch.save({**network("swinir"), "absolute_pos_embed": torch.zeros(1, pixels, 16)}, tmp_path / "model.pth")
    with pytest.raises(ModelError, match=said):
        api.model_card(tmp_path / "model.pth")

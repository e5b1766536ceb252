from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from seeded_weights import fill, seeded_image

from napari_restore import api
from napari_restore.errors import ModelError
from napari_restore.models.architecture import build
from napari_restore.models.checkpoint import read_state_dict, write_checkpoint
from napari_restore.models.zoo import card_of_file, convert, find_card, load_weights

TINY = {"in_channels": 3, "embed_dim": 12, "depths": (2,), "heads": (2,), "window": 8, "head": "none"}


@pytest.fixture
def fine_tune(tmp_path: Path) -> Path:
    """A file as training scripts leave it: optimiser, buffers and all."""
    network = build("swinir", TINY)
    fill(network, seed=1)
    block = "layers.0.residual_group.blocks.1."
    state = {**network.state_dict(), f"{block}attn_mask": torch.zeros(64, 64, 64)}
    path = tmp_path / "fine_tune.pth"
    torch.save({"params": state, "optimizer": {"state": {0: torch.zeros(10_000)}}}, path)
    return path


def test_the_file_is_small_and_tells_its_hyperparameters(fine_tune: Path, tmp_path: Path) -> None:
    card = convert(fine_tune, tmp_path / "small.safetensors", img_range=255.0, mean=(0.1, 0.2, 0.3))
    assert (tmp_path / "small.safetensors").stat().st_size < 0.2 * fine_tune.stat().st_size
    assert card.hyperparameters["img_range"] == 255.0 and card.hyperparameters["mean"] == (0.1, 0.2, 0.3)
    assert card.assumed == () and card_of_file(fine_tune).assumed == ("img_range", "mean")
    network = load_weights(card)
    assert network.img_range == 255.0
    torch.testing.assert_close(network.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))
    loaded, original = read_state_dict(tmp_path / "small.safetensors"), read_state_dict(fine_tune)
    assert loaded.keys() == original.keys() and all(torch.equal(loaded[key], original[key]) for key in loaded)


def test_half_precision_is_half_the_size_and_close(fine_tune: Path, tmp_path: Path) -> None:
    whole = convert(fine_tune, tmp_path / "whole.safetensors")
    half = convert(fine_tune, tmp_path / "half.safetensors", half=True)
    assert all(value.dtype == torch.float16 for value in load_file(half.weights).values())
    image = seeded_image((1, 3, 16, 16), seed=1)
    with torch.inference_mode():
        difference = load_weights(half)(image) - load_weights(whole)(image)
    assert 0 < difference.abs().max() < 1e-2


def test_weights_beyond_half_precision(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="beyond the range of float16"):
        write_checkpoint(tmp_path / "o.safetensors", {"a": torch.tensor([1e6])}, "swinir", {}, half=True)
    assert list(tmp_path.iterdir()) == []


def test_targets_that_are_refused(fine_tune: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not end in"):
        convert(fine_tune, tmp_path / "out.pth")
    before = fine_tune.read_bytes()
    (tmp_path / "there.safetensors").write_bytes(b"something")
    with pytest.raises(ModelError, match="exists already"):
        convert(fine_tune, tmp_path / "there.safetensors")
    with pytest.raises(ModelError, match="cannot be written"):
        convert(fine_tune, tmp_path / "no folder" / "out.safetensors")
    assert fine_tune.read_bytes() == before and (tmp_path / "there.safetensors").read_bytes() == b"something"


@pytest.mark.parametrize(
    "metadata", ["{", "[]", '{"hyperparameters": {"img_range": "x"}}', '{"hyperparameters": {"mean": [1, null]}}']
)
def test_damaged_metadata(fine_tune: Path, tmp_path: Path, metadata: str) -> None:
    path = tmp_path / "m.safetensors"
    save_file(read_state_dict(fine_tune), path, metadata={"napari_restore": metadata})
    with pytest.raises(ModelError, match="metadata"):
        find_card(path)


def test_metadata_do_not_contradict_the_shapes(fine_tune: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    told = {"hyperparameters": {"img_range": 2.0, "window": 4, "something": 1}}
    save_file(read_state_dict(fine_tune), path, metadata={"napari_restore": json.dumps(told)})
    card = find_card(path)
    assert (card.hyperparameters["window"], card.hyperparameters["img_range"]) == (8, 2.0)
    assert card.assumed == ("mean",) and "something" not in card.hyperparameters


def test_what_shapes_do_not_tell_is_an_option(fine_tune: Path, checkpoints: dict[str, Path]) -> None:
    image = seeded_image((24, 24, 3), seed=2).numpy()
    settings = {"axes": "YXS", "model": fine_tune, "value_range": (0, 1)}
    plain = api.restore(image, **settings)
    assert abs(api.restore(image, **settings, img_range=1.0) - plain).max() == 0
    assert abs(api.restore(image, **settings, img_range=255.0) - plain).max() > 1e-3
    assert abs(api.restore(image, **settings, mean=(0.0, 0.0, 0.0)) - plain).max() > 1e-3
    assert api.plan(image, **settings).fingerprint != api.plan(image, **settings, img_range=255.0).fingerprint
    for wrong, message in (
        ({"mean": (0.5,)}, "one number for each"),
        ({"img_range": -1.0}, "not positive"),
        ({"mean": (float("nan"), 0.0, 0.0)}, "not finite"),
    ):
        with pytest.raises(ModelError, match=message):
            api.plan(image, **settings, **wrong)
    with pytest.raises(ModelError, match="restormer, which has no img_range"):
        find_card(checkpoints["denoiser"], img_range=1.0)
    with pytest.raises(ModelError, match="has its own range and mean"):
        find_card("swinir-x2-light", img_range=1.0)


def test_a_published_file_is_recognised_by_its_name(tmp_path: Path) -> None:
    card = find_card("006_CAR_DFWB_s126w7_SwinIR-M_jpeg40")
    path = tmp_path / card.weights
    with torch.device("meta"):
        network = build(card.architecture, card.hyperparameters)
    state = {key: torch.zeros(1).expand(value.shape).contiguous().half() for key, value in network.state_dict().items()}
    torch.save({"params": state}, path)
    found = find_card(path)
    assert (found.task, found.noise, found.licence) == ("jpeg", "JPEG of quality 40", "Apache-2.0")
    assert found.url is None and found.weights == str(path) and found.assumed == ()
    assert found.hyperparameters["img_range"] == 255.0 and found.tile % 7 == 0
    renamed = path.rename(tmp_path / "other.pth")
    assert find_card(renamed).task == "other"

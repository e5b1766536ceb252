from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_restore import api
from napari_restore.errors import ModelError
from napari_restore.models.card import ModelCard
from napari_restore.models.zoo import bundled_cards, find_card, load_weights, weights_path


@pytest.mark.parametrize("name", [card.name for card in bundled_cards()])
def test_bundled_model_is_whole_small_and_described(name: str) -> None:
    card = find_card(name)
    assert weights_path(card).stat().st_size <= 4_000_000
    assert card.licence and card.noise and card.paper and card.training["steps"] > 0
    assert card.bfloat16_loss is not None  # benchmarks/precision.py --cards
    network = load_weights(card)
    assert sum(parameter.numel() for parameter in network.parameters()) > 1e5


def test_the_defaults_of_the_api_are_bundled() -> None:
    names = {card.name: card for card in api.models()}
    assert names[api.DENOISER].task == "denoise"
    assert all(names[name].scale == scale for scale, name in api.UPSCALERS.items())


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(ModelError, match="did you mean 'restormer-denoise-light'"):
        find_card("restormer-denoise-lite")


def test_a_path_gets_a_card_of_its_own(checkpoints: dict[str, Path]) -> None:
    card = find_card(checkpoints["upscaler"])
    assert (card.architecture, card.scale, card.task, card.alignment) == ("swinir", 2, "super-resolve", 8)
    assert card.exact_tiles and not find_card(checkpoints["denoiser"]).exact_tiles


def test_changed_weights_are_noticed(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(checkpoints["local"], path)
    card = find_card(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="digest"):
        load_weights(card)


def test_a_file_replaced_under_its_name_gets_a_new_card(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(checkpoints["local"], path)
    first = find_card(path)
    shutil.copy(checkpoints["upscaler"], path)
    assert find_card(path).sha256 != first.sha256


@pytest.mark.parametrize("card", bundled_cards(), ids=lambda card: card.name)
def test_a_bundled_model_says_how_it_was_trained_and_what_it_reaches(card: ModelCard) -> None:
    lines = card.description().splitlines()
    assert any(line.startswith("training") and f"{card.training['steps']} steps" in line for line in lines)
    assert card.scores
    for group, score in card.scores.items():
        assert any(line.startswith(f"  {group} ") and f"{score['psnr']:.2f} dB" in line for line in lines)

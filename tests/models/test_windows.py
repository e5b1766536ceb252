from __future__ import annotations

import pytest

from napari_restore import api
from napari_restore.errors import RecipeError
from napari_restore.models.windows import WINDOW_STEP, with_windows
from napari_restore.models.zoo import bundled_cards, find_card, load_weights
from napari_restore.networks.restormer import Restormer


@pytest.mark.parametrize("window", [WINDOW_STEP, 112, 280])
def test_the_card_fits_the_network(window: int) -> None:
    card = with_windows(find_card(api.DENOISER), window)
    network = load_weights(card)
    assert isinstance(network, Restormer)
    side, across = network.encoder_level1[0].attn.cells  # type: ignore[misc]
    assert (side, side * across) == (card.alignment, window)
    assert network.latent[0].attn.cells == (side // 8, across)
    assert card.tile % side == 0 and (2 * card.halo + card.blend) % side == 0 and card.local


@pytest.mark.parametrize("window", [-56, 8, 100, 120])
def test_other_windows_name_a_way_out(window: int) -> None:
    with pytest.raises(RecipeError, match=r"not a multiple of 56; use .*\d"):
        with_windows(find_card(api.DENOISER), window)


def test_only_restormer_has_them() -> None:
    with pytest.raises(RecipeError, match="no attention over whole tiles"):
        with_windows(find_card("swinir-denoise-light"), 112)


def test_cards_of_models_without_a_measurement_have_none() -> None:
    for card in bundled_cards():
        assert (card.attention_window is None) == (card.architecture == "swinir")

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from published import RESTORMER, SWINIR

from napari_restore.models.architecture import build, infer_architecture
from napari_restore.models.card import ModelCard
from napari_restore.models.published import published_cards

CARDS = {card.name: card for card in published_cards()}
# What the cards of a family must say, by the official file names: written down a second time, from the tables.
FAMILIES = {
    r"001_classicalSR_(DIV2K_s48|DF2K_s64)w8_SwinIR-M_x(2|3|4|8)": "classical-div2k-x{2}",
    r"002_lightweightSR_DIV2K_s64w8_SwinIR-S_x(2|3|4)": "lightweight-x{1}",
    r"003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x(2|4)_(GAN|PSNR)": "real-m-x{1}",
    r"003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_(GAN|PSNR)": "real-l-x4",
    r"004_grayDN_DFWB_s128w8_SwinIR-M_noise(15|25|50)": "gray-denoise",
    r"005_colorDN_DFWB_s128w8_SwinIR-M_noise(15|25|50)": "colour-denoise",
    r"006_CAR_DFWB_s126w7_SwinIR-M_jpeg(10|20|30|40)": "gray-jpeg",
    r"006_colorCAR_DFWB_s126w7_SwinIR-M_jpeg(10|20|30|40)": "colour-jpeg",
    r"gaussian_gray_denoising_(blind|sigma15|sigma25|sigma50)": "gaussian-gray",
    r"gaussian_color_denoising_(blind|sigma15|sigma25|sigma50)|real_denoising": "gaussian-colour-and-real-noise",
    r"motion_deblurring|single_image_defocus_deblurring|deraining": "motion-defocus-rain",
    r"dual_pixel_defocus_deblurring": "dual-pixel",
}
FILES_OF_A_FAMILY = (8, 3, 4, 2, 3, 3, 4, 4, 4, 5, 3, 1)


def expected(card: ModelCard) -> tuple[dict[str, Any], int]:
    for pattern, family in FAMILIES.items():
        if match := re.fullmatch(rf"(?:{pattern})\.pth", card.weights):
            name = family.format(*match.group(0, *range(1, match.re.groups + 1)))
            return (SWINIR[name][0], SWINIR[name][2]) if name in SWINIR else RESTORMER[name]
    raise AssertionError(f"{card.weights} is no official file")


def test_all_official_files_have_a_card_and_a_name_of_their_own() -> None:
    stems = [card.weights.removesuffix(".pth") for card in CARDS.values()]
    for pattern, count in zip(FAMILIES, FILES_OF_A_FAMILY, strict=True):
        assert sum(re.fullmatch(pattern, stem) is not None for stem in stems) == count, pattern
    assert len(set(stems)) == len(stems) == len(CARDS) == sum(FILES_OF_A_FAMILY)


@pytest.mark.parametrize("name", CARDS)
def test_hyperparameters_build_the_published_network(name: str) -> None:
    card = CARDS[name]
    hyperparameters, count = expected(card)
    with torch.device("meta"):
        network = build(card.architecture, card.hyperparameters)
    assert sum(parameter.numel() for parameter in network.parameters()) == card.parameters == count
    assert {"scale": 1, **card.hyperparameters} | hyperparameters == {"scale": 1, **card.hyperparameters}
    assert infer_architecture(network.state_dict())[0] == card.architecture
    inferred = infer_architecture(network.state_dict())[1]
    assert {key: inferred[key] for key in card.hyperparameters} == card.hyperparameters


@pytest.mark.parametrize("name", CARDS)
def test_cards_say_what_a_user_needs(name: str) -> None:
    card = CARDS[name]
    assert card.licence and card.licence_url.startswith("https://") and card.paper and card.noise
    assert card.url is not None and card.url.startswith("https://github.com/") and card.url.endswith(f"/{card.weights}")
    assert re.fullmatch(r"([0-9a-f]{64})?", card.sha256)
    assert card.tile % card.alignment == 0 and card.alignment == (card.hyperparameters.get("window") or 8)
    assert ("super" in card.task) == (card.scale > 1)
    found = re.search(r"(?:noise|sigma)(\d+)\.pth", card.weights)
    assert card.sigma == (int(found[1]) / 255 if found else None)


def test_digests_that_are_known() -> None:
    known = {card.weights: card.sha256 for card in CARDS.values() if card.sha256}
    assert len(known) == 14 and len(set(known.values())) == 14
    assert all("SR_" in file for file in known)
    assert known["003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_GAN.pth"].startswith("b9afb61e65e04eb7")

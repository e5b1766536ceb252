from __future__ import annotations

from typing import Any

import pytest
import torch
from published import RESTORMER, SWINIR

from napari_restore.errors import ModelError
from napari_restore.models.architecture import build, infer_architecture
from napari_restore.models.card import Architecture

CASES: dict[str, tuple[Architecture, dict[str, Any]]] = {
    **{name: ("swinir", row[0]) for name, row in SWINIR.items()},
    **{name: ("restormer", row[0]) for name, row in RESTORMER.items()},
}


def shapes(architecture: Architecture, hyperparameters: dict[str, Any]) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return build(architecture, hyperparameters).state_dict()


@pytest.mark.parametrize("name", CASES)
def test_published_networks_are_told_by_their_shapes(name: str) -> None:
    architecture, hyperparameters = CASES[name]
    found, inferred = infer_architecture(shapes(architecture, hyperparameters))
    assert found == architecture
    assert {key: inferred[key] for key in hyperparameters} == hyperparameters


@pytest.mark.parametrize("expansion", [1.0, 2.0, 2.5, 2.66, 3.0, 2.667])
def test_any_expansion_that_fits_the_shapes(expansion: float) -> None:
    state = shapes("restormer", {"dim": 48, "blocks": (1, 1, 1, 1), "expansion": expansion})
    _, inferred = infer_architecture(state)
    again = shapes("restormer", inferred)
    assert {key: value.shape for key, value in again.items()} == {key: value.shape for key, value in state.items()}


def test_a_gap_in_the_blocks_is_an_error() -> None:
    state = shapes("restormer", {"dim": 16, "blocks": (2, 2, 2, 2)})
    gap = {key: value for key, value in state.items() if not key.startswith("latent.0.norm")}
    gap = {key.replace("encoder_level2.0", "encoder_level2.7"): value for key, value in gap.items()}
    with pytest.raises(ModelError, match=r"encoder_level2"):
        infer_architecture(gap)

"""What each bundled network is and how it was trained; `train` runs one of these by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Generator, Tensor, nn

from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR
from napari_restore.training.degrade import denoising_pair, gaussian_pair, super_resolution_pair

__all__ = ["HELD_OUT", "NOISY", "RECIPES", "TrainingRecipe"]

HELD_OUT = ("BPAE_",)
"""File names that no training run may see: the bundled demonstration image is made of them."""

NOISY = ("0_1_N", "0_2_N", *(f"AS_09047_050428030001_O0{well}" for well in (3, 4, 8)))
"""File names of images whose noise is plain to see even when binned: a network shown noise as the truth keeps it."""

FOLDER_SOURCES = (
    "CellProfiler example images (BSD-3-Clause), BioImageAnalysisNotebooks images without BPAE (CC BY 4.0), "
    "StarDist example images (BSD-3-Clause)"
)
"""What the folder of further images held when the bundled weights were trained."""


@dataclass(frozen=True)
class TrainingRecipe:
    """One network and the schedule that trains it.

    Attributes
    ----------
    network
        Class of the network.
    hyperparameters
        Its keyword arguments.
    degrade
        Makes ``(input, target)`` from a clean batch ``(b, c, patch, patch)``.
    starts_from
        A bundled model whose weights the run begins with, where they fit (see `napari_restore.training.start`); None:
        random ones.
    steps, batch, patch
        Length of the run, images a step, side of a clean crop in pixels.
    learning_rate
        Peak of the schedule: linear warm-up over `warmup` steps, constant, then linear to zero over the last `cooldown`
        share of the steps (so a run can be lengthened until its cool-down begins).
    loss
        ``"log-mse"``: mean over images of the logarithm of the mean squared error, which weighs all noise levels
        alike; ``"log-l1"``: the same of the mean absolute error; ``"l1"``: that error itself.
    """

    network: type[nn.Module]
    hyperparameters: Mapping[str, Any]
    degrade: Callable[[Tensor, Generator], tuple[Tensor, Tensor]]
    steps: int
    batch: int
    patch: int
    learning_rate: float
    loss: str
    warmup: int = 100
    cooldown: float = 0.3
    ema_decay: float = 0.998
    seed: int = 0
    pool_seed: int = 1
    starts_from: str | None = None
    folder_sources: str = FOLDER_SOURCES


LIGHT_RESTORMER = {
    "dim": 16,
    "blocks": (2, 3, 3, 4),
    "refinement_blocks": 2,
    "heads": (1, 2, 4, 8),
    "layer_norm": "BiasFree",
}
LIGHT_SWINIR = {
    "in_channels": 1,
    "embed_dim": 36,
    "depths": (4, 4, 4, 4),
    "heads": (4, 4, 4, 4),
    "window": 8,
    "head": "pixelshuffledirect",
}

DENOISER = TrainingRecipe(
    network=Restormer,
    hyperparameters={"in_channels": 1, "out_channels": 1, **LIGHT_RESTORMER},
    degrade=denoising_pair,
    steps=7500,
    batch=8,
    patch=64,
    learning_rate=7e-4,
    loss="log-mse",
    cooldown=0.7,
    starts_from="restormer-denoise-light",
)

RECIPES: dict[str, TrainingRecipe] = {
    "restormer-denoise-light": DENOISER,
    "restormer-denoise-rgb-light": replace(
        DENOISER, hyperparameters={"in_channels": 3, "out_channels": 3, **LIGHT_RESTORMER}, steps=2300
    ),
    # Not bundled: the tests of the noise model need a network that knows one level of noise.
    "restormer-sigma25-tiny": TrainingRecipe(
        network=Restormer,
        hyperparameters={
            "in_channels": 1,
            "out_channels": 1,
            "dim": 8,
            "blocks": (1, 2, 2, 2),
            "refinement_blocks": 1,
            "heads": (1, 2, 4, 8),
            "layer_norm": "BiasFree",
        },
        degrade=partial(gaussian_pair, sigma=25 / 255),
        steps=1500,
        batch=8,
        patch=64,
        learning_rate=1e-3,
        loss="log-mse",
    ),
    "swinir-x2-light": TrainingRecipe(
        network=SwinIR,
        hyperparameters={**LIGHT_SWINIR, "scale": 2},
        degrade=partial(super_resolution_pair, scale=2),
        steps=1800,
        batch=8,
        patch=96,
        learning_rate=8e-4,
        loss="l1",
    ),
    "swinir-x4-light": TrainingRecipe(
        network=SwinIR,
        hyperparameters={**LIGHT_SWINIR, "scale": 4},
        degrade=partial(super_resolution_pair, scale=4),
        steps=1000,
        batch=8,
        patch=128,
        learning_rate=6e-4,
        cooldown=0.6,
        loss="log-l1",
        starts_from="swinir-x2-light",
    ),
}

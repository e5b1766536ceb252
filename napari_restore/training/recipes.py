"""Training recipes of the bundled networks; `train` runs one of them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Generator, Tensor, nn

from napari_restore.models.card import Architecture
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR
from napari_restore.training.degrade import denoising_pair, gaussian_pair, super_resolution_pair

__all__ = ["HELD_OUT", "NOISY", "RECIPES", "TrainingRecipe"]

HELD_OUT = ("BPAE_",)
"""File names that training never reads: the bundled demonstration image is made of them."""

NOISY = ("0_1_N", "0_2_N", *(f"AS_09047_050428030001_O0{well}" for well in (3, 4, 8)))
"""File names of images that are noisy even after binning: a network that is trained on noisy targets keeps noise."""


@dataclass(frozen=True)
class TrainingRecipe:
    """A network and the schedule of its training.

    Attributes
    ----------
    title, noise : str
        Texts of its card: one line for a person, and the noise it is trained for.
    network : type of torch.nn.Module
        Class of the network.
    hyperparameters : mapping of str to object
        Keyword arguments of the network.
    degrade : callable
        Makes ``(input, target)`` from a clean batch ``(b, c, patch, patch)`` and a generator.
    steps, batch, patch : int
        Number of steps, crops per step, side of a clean crop in pixels.
    learning_rate : float
        Peak of the schedule: linear warm-up over `warmup` steps, constant, then linear to zero over the last `cooldown`
        share of the steps. So a run can be lengthened until its cool-down starts.
    loss : {"log-mse", "log-l1", "l1"}
        "log-mse": mean over images of the logarithm of the mean squared error, which gives all noise levels the same
        weight; "log-l1": the same of the mean absolute error; "l1": the mean absolute error.
    warmup : int
        Steps of the warm-up.
    cooldown : float
        Share of the steps in the cool-down, from 0 to 1.
    larger_from : float
        Share of the steps after which crops have twice the width and a quarter of the number: progressive learning
        (Zamir et al. 2022, section 4), which makes the statistics that attention sees in a whole crop similar to those
        in a tile.
    ema_decay : float
        Decay of the exponential moving average of the weights.
    seed, pool_seed : int
        Seeds of the run and of the synthetic images.
    starts_from : str or None
        Bundled model whose weights the run starts with, where shapes agree (see `napari_restore.training.start`). If
        None, random weights.
    sigmas : tuple of float, or None
        Smallest and largest standard deviation of the noise, as shares of the value range.
    sigma : float or None
        Standard deviation of the noise as a share of the value range, if there is only one.
    """

    title: str
    noise: str
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
    larger_from: float = 1.0
    ema_decay: float = 0.998
    seed: int = 0
    pool_seed: int = 1
    starts_from: str | None = None
    sigmas: tuple[float, float] | None = None
    sigma: float | None = None

    def crops(self, step: int) -> tuple[int, int]:
        """Return the number of clean crops of a step, and their side in pixels."""
        if step < self.larger_from * self.steps:
            return self.batch, self.patch
        return max(self.batch // 4, 1), 2 * self.patch

    @property
    def architecture(self) -> Architecture:
        """Name of the network."""
        return "restormer" if self.network is Restormer else "swinir"

    def schedule(self) -> dict[str, Any]:
        """Return what determines the course of a run, as numbers and strings: for its card, and to recognise it."""
        return {name: getattr(self, name) for name in _SCHEDULE}

    @property
    def largest_patch(self) -> int:
        """Side of the largest crops of the run in pixels."""
        return self.crops(self.steps - 1)[1]


_SCHEDULE = (
    "steps", "batch", "patch", "larger_from", "learning_rate", "warmup", "cooldown", "loss", "ema_decay", "seed",
    "pool_seed",
)  # fmt: skip

BLIND: dict[str, Any] = {
    "noise": "blind: photon, read and neighbour-correlated noise, 0.8-28 % of contrast",
    "sigmas": (0.008, 0.28),
}
"""Noise of `denoising_pair`."""
BINNED: dict[str, Any] = {
    "noise": "pixel binning, a little optical blur, camera noise up to 3 % of contrast",
    "sigmas": (0.0, 0.03),
}
"""Noise of `super_resolution_pair`."""

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
    "img_range": 1.0,
    "mean": (0.0,),
}

DENOISER = TrainingRecipe(
    title="Blind gray denoiser for micrographs, small enough for a CPU",
    **BLIND,
    network=Restormer,
    hyperparameters={"in_channels": 1, "out_channels": 1, **LIGHT_RESTORMER},
    degrade=denoising_pair,
    steps=4700,
    batch=8,
    patch=64,
    learning_rate=6e-4,
    loss="log-mse",
    cooldown=0.8,
    larger_from=0.4,
    seed=1,
    starts_from="restormer-denoise-light",
)

RECIPES: dict[str, TrainingRecipe] = {
    "restormer-denoise-light": DENOISER,
    "restormer-denoise-rgb-light": replace(
        DENOISER,
        title="Blind denoiser for RGB images, all samples at once: best for photographs, small enough for a CPU",
        hyperparameters={"in_channels": 3, "out_channels": 3, **LIGHT_RESTORMER},
        steps=2300,
        larger_from=1.0,
    ),
    # Not bundled: the tests of the noise model need a network that is trained for one noise level.
    "restormer-sigma25-tiny": TrainingRecipe(
        title="Gray denoiser of one noise level, for tests",
        noise="Gaussian, sigma 25/255",
        sigma=25 / 255,
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
    "swinir-denoise-light": TrainingRecipe(
        title="Blind gray denoiser for micrographs by local attention: its tiles are exact",
        **BLIND,
        network=SwinIR,
        hyperparameters={key: value for key, value in LIGHT_SWINIR.items() if key != "head"},
        degrade=denoising_pair,
        steps=3000,
        batch=8,
        patch=48,
        learning_rate=8e-4,
        cooldown=0.7,
        loss="log-mse",
        starts_from="swinir-x2-light",
    ),
    "swinir-x2-light": TrainingRecipe(
        title="Two-fold upscaling of gray micrographs, small enough for a CPU",
        **BINNED,
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
        title="Four-fold upscaling of gray micrographs, small enough for a CPU",
        **BINNED,
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

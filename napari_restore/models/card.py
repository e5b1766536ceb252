"""The card of a model: everything callers ask it instead of testing its name."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Architecture", "ModelCard", "Task"]

Architecture = Literal["restormer", "swinir"]
Task = Literal["denoise", "super-resolve", "other"]

PAPERS: dict[Architecture, str] = {
    "restormer": "Zamir et al., Restormer, CVPR 2022, arXiv 2111.09881",
    "swinir": "Liang et al., SwinIR, ICCVW 2021, arXiv 2108.10257",
}


class ModelCard(BaseModel):
    """What a model is, what it needs and where it comes from.

    Attributes
    ----------
    name
        What a user types.
    title
        One line for a person.
    task
        ``"denoise"``, ``"super-resolve"``, or ``"other"`` (a checkpoint that does not tell).
    architecture, hyperparameters
        The network class and its keyword arguments.
    scale
        Output pixels per input pixel along Y and X.
    in_channels, out_channels
        Image channels: 1 for gray, 3 for RGB. A one-channel model takes each channel and sample on its own.
    noise
        The noise it was trained for, in words.
    alignment
        Tile sizes and origins are multiples of this many pixels.
    tile, halo, blend
        Default tile in input pixels; context without weight at each inner edge; width of the hand-over between tiles.
    exact_tiles
        Whether a tile's inner pixels equal those of the whole image (SwinIR) or only nearly so (Restormer, whose
        attention sees the whole tile).
    minimum_size
        Smallest height and width the network takes; smaller planes are reflected up to it.
    bytes_per_pixel
        Working memory of one input pixel of a tile, float32, as measured.
    value_range
        What black and white of the data become before the network sees them.
    licence, paper, training, scores
        Of the weights; what they were trained on and how; what they reach.
    weights
        File of the weights: its name inside the package, or a path.
    sha256
        Digest of that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    task: Task
    architecture: Architecture
    hyperparameters: dict[str, Any]
    scale: int = Field(ge=1)
    in_channels: int = Field(ge=1)
    out_channels: int = Field(ge=1)
    noise: str
    alignment: int = Field(ge=1)
    tile: int
    halo: int
    blend: int
    exact_tiles: bool
    minimum_size: int
    bytes_per_pixel: int
    value_range: tuple[float, float] = (0.0, 1.0)
    licence: str
    paper: str
    training: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    weights: str
    sha256: str
    bundled: bool = False

    def summary(self) -> str:
        """One line: task, channels, scale, noise and licence."""
        colours = "gray" if self.in_channels == 1 else f"{self.in_channels} channels"
        scale = f" x{self.scale}" if self.scale > 1 else ""
        return f"{self.name}: {self.task}{scale}, {colours}; {self.noise}; {self.licence}"

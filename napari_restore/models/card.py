"""The card of a model: everything callers ask it instead of testing its name."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PAPERS", "Architecture", "ModelCard", "Task", "tiling_defaults"]

Architecture = Literal["restormer", "swinir"]
Task = Literal["denoise", "super-resolve", "deblur", "derain", "jpeg", "other"]

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
        ``"denoise"``, ``"super-resolve"``, ``"deblur"``, ``"derain"``, ``"jpeg"`` (removal of its artefacts), or
        ``"other"`` (a checkpoint that does not tell).
    architecture, hyperparameters
        The network class and its keyword arguments.
    scale
        Output pixels per input pixel along Y and X.
    in_channels, out_channels
        Image channels: 1 for gray, 3 for RGB. A one-channel model takes each channel and sample on its own.
    noise
        The noise it was trained for, in words.
    sigma
        Standard deviation of the Gaussian noise it was trained for, as a share of the value range; None where that is
        no single number.
    sigmas
        Smallest and largest standard deviation of the noise in its training images, as shares of the value range; None
        where that is not known. See `noise_levels`.
    correlated
        Whether noise that is correlated between neighbouring pixels was among it.
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
    bfloat16_loss
        PSNR in dB that bfloat16 costs, as `benchmarks/precision.py` measures it; None where nobody has.
    value_range
        What black and white of the data become before the network sees them.
    licence, paper, training
        Of the weights; what they were trained on and how.
    scores
        What they reach, by set of images of docs/quality.md: how many images, mean PSNR in dB and mean SSIM.
    licence_url
        Where the licence can be read.
    weights
        File of the weights: its name inside the package or on the release page, or a path.
    url
        Where the file is published; None for a bundled file and for one of the user's own.
    sha256
        Digest of that file; empty where it is not known before the file is here (see `pinned`).
    pinned
        Whether the digest was not known beforehand: it is that of the first file that was fetched, and later ones
        have to equal it.
    parameters
        Number of weights, where the card tells.
    assumed
        Hyper-parameters that nothing told and that have their usual values.
    bundled
        Whether the weights lie inside the package.
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
    sigma: float | None = None
    sigmas: tuple[float, float] | None = None
    correlated: bool = False
    alignment: int = Field(ge=1)
    tile: int
    halo: int
    blend: int
    exact_tiles: bool
    minimum_size: int
    bytes_per_pixel: int
    bfloat16_loss: float | None = None
    value_range: tuple[float, float] = (0.0, 1.0)
    licence: str
    licence_url: str = ""
    paper: str
    training: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    weights: str
    url: str | None = None
    sha256: str
    pinned: bool = False
    parameters: int | None = None
    assumed: tuple[str, ...] = ()
    bundled: bool = False

    @property
    def noise_levels(self) -> tuple[float, float] | None:
        """Smallest and largest standard deviation it was trained for, as shares of the value range, if known."""
        return self.sigmas if self.sigma is None else (self.sigma, self.sigma)

    def summary(self) -> str:
        """One line: task, channels, scale, noise and licence."""
        colours = "gray" if self.in_channels == 1 else f"{self.in_channels} channels"
        scale = f" x{self.scale}" if self.scale > 1 else ""
        return f"{self.name}: {self.task}{scale}, {colours}; {self.noise}; {self.licence}"

    def description(self) -> str:
        """Everything the card says, one line each."""
        usual = {name: f"{value} (assumed)" for name, value in self.hyperparameters.items() if name in self.assumed}
        rows = {
            "name": self.name, "title": self.title, "task": self.task, "network": self.architecture,
            **{f"  {name}": usual.get(name, value) for name, value in self.hyperparameters.items()},
            "parameters": "unknown" if self.parameters is None else f"{self.parameters:,}",
            "channels": f"{self.in_channels} in, {self.out_channels} out", "scale": self.scale,
            "trained for": self.noise, "alignment": f"{self.alignment} px",
            "tiles": f"{self.tile} px, halo {self.halo}, hand-over {self.blend}",
            "licence": f"{self.licence} {self.licence_url}".rstrip(), "paper": self.paper,
            "weights": self.url or self.weights, "SHA-256": self.sha256 or "pinned on first use",
        }  # fmt: skip
        if self.training:
            rows["training"] = "{steps} steps of {batch} × {patch}² pixels, seed {seed}".format(**self.training)
            larger_from = self.training.get("larger_from", 1.0)
            if larger_from < 1:
                rows["training"] += f"; twice as wide, a quarter as many, from {larger_from:.0%} of them on"
        if self.scores:
            rows["scores"] = "means over the sets of docs/quality.md"
        for group, score in self.scores.items():
            rows[f"  {group}"] = "{psnr:.2f} dB, SSIM {ssim:.3f}, {images} images".format(**score)
        return "\n".join(f"{name:<24}{value}" for name, value in rows.items())

    def licence_notice(self) -> str:
        """What a person should know before the weights are fetched."""
        terms = f" ({self.licence_url})" if self.licence_url else ""
        return f"{self.name} is fetched from {self.url}; its weights are the authors', under: {self.licence}{terms}."


def tiling_defaults(architecture: Architecture, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Alignment, tile, halo, hand-over and memory that fit a network of this architecture."""
    if architecture == "restormer":
        # Attention over a tile near the training size beats one over a whole frame (TLC, arXiv 2112.04491).
        # Measured on the bundled network: 3.2 kB a pixel at 16 features.
        width = hyperparameters["dim"] * 60 * 4
        return {
            "alignment": 8, "tile": 256, "halo": 16, "blend": 32, "exact_tiles": False, "minimum_size": 8,
            "bytes_per_pixel": width,
        }  # fmt: skip
    window = hyperparameters["window"]
    tile, halo = (256, 40) if window == 8 else (32 * window, 6 * window)
    scale = hyperparameters.get("scale", 1)
    # Measured on the bundled network: 4.9 kB a pixel at 36 features; upsampling in 64 features comes on top.
    upsampled = 64 * 8 * scale**2 if hyperparameters.get("head") in ("pixelshuffle", "nearest+conv") else 0
    width = hyperparameters["embed_dim"] * 36 * 4 + upsampled
    return {
        "alignment": window, "tile": tile, "halo": halo, "blend": window * 2, "exact_tiles": True,
        "minimum_size": window, "bytes_per_pixel": width,
    }  # fmt: skip

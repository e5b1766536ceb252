"""Define the card of a model, which describes it to users and to the engine."""

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
    """Description of a model: what it does, what it needs and where it comes from.

    Attributes
    ----------
    name : str
        Name of the model in Python and on the command line.
    title : str
        One line for users.
    task : {"denoise", "super-resolve", "deblur", "derain", "jpeg", "other"}
        What the model is for. ``"jpeg"`` removes JPEG artefacts; ``"other"`` is a checkpoint of unknown task.
    architecture : {"restormer", "swinir"}
        The network.
    hyperparameters : dict of str to object
        Keyword arguments of the class of the network.
    scale : int
        Output pixels per input pixel along Y and X.
    in_channels, out_channels : int
        Image channels: 1 for gray, 3 for RGB. A one-channel model restores each channel and sample separately.
    noise : str
        Noise that the model was trained for, in words.
    sigma : float or None
        Standard deviation of the Gaussian noise that the model was trained for, as a share of the value range; None if
        there is no single value.
    sigmas : (float, float) or None
        Smallest and largest standard deviation of the noise in the training images, as shares of the value range; None
        if unknown. See `noise_levels`.
    correlated : bool
        Whether the training included noise that is correlated between neighbouring pixels.
    alignment : int
        Tile sizes and origins are multiples of this many pixels.
    tile, halo, blend : int
        Default tile, halo and blend, in input pixels.
    tile_error : float or None
        Largest difference of tiles with this halo from a whole plane, as a share of the value range, as
        `benchmarks/tiles/halo.py` measures it; None if it was not measured.
    exact_tiles : bool
        Whether the inner pixels of a tile equal those of the whole image (SwinIR), or only nearly (Restormer, whose
        attention uses the whole tile).
    minimum_size : int
        Smallest height and width of the network's input, in pixels; smaller planes are padded by reflection.
    attention_window : int or None
        Side of the windows, in input pixels, that attention of a Restormer is summed over by default; None for whole
        tiles. It was measured that the model restores as well with them.
    bytes_per_pixel : int
        Measured working memory of one input pixel of a tile, float32, in bytes.
    bfloat16_loss : float or None
        Loss of PSNR by bfloat16 in dB, as `benchmarks/precision.py` measures it; None if it was not measured.
    value_range : (float, float)
        Values that black and white of the data become for the network.
    licence, licence_url : str
        Licence of the weights, and where it can be read.
    paper : str
        Reference of the network.
    training : dict of str to object
        How and on what the weights were trained.
    scores : dict of str to object
        Scores by set of images of docs/quality.md: number of images, mean PSNR in dB and mean SSIM.
    weights : str
        File of the weights: its name inside the package or on the release page, or a path.
    url : str or None
        Where the file is published; None for a bundled file and for a file of the user.
    sha256 : str
        SHA-256 of that file; empty if it is not known before the file is fetched (see `pinned`).
    pinned : bool
        Whether the digest was not published: it is the digest of the first file that was fetched, and later files must
        have the same.
    parameters : int or None
        Number of weights; None if unknown.
    assumed : tuple of str
        Hyper-parameters that neither the checkpoint nor the user gave: they have default values.
    bundled : bool
        Whether the weights are part of the package.
    chain : tuple of ModelCard
        Cards of two networks in a row, which this card describes as one: see `napari_restore.models.chain`. Weights,
        digest and hyper-parameters are those of the second one; all other fields describe both.
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
    tile_error: float | None = None
    exact_tiles: bool
    minimum_size: int
    bytes_per_pixel: int
    attention_window: int | None = None
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
    chain: tuple[ModelCard, ...] = ()

    @property
    def networks(self) -> tuple[ModelCard, ...]:
        """Cards of the single networks, in the order in which they run."""
        return self.chain or (self,)

    @property
    def local(self) -> bool:
        """Whether a pixel of the result depends on its surroundings only, so that tiles may be of any size."""
        return self.exact_tiles or self.hyperparameters.get("attention_window") is not None

    @property
    def largest_tile(self) -> int | None:
        """Largest side of a tile: that of the training images for a network with absolute positions, else None."""
        return self.hyperparameters.get("absolute_positions") or None

    @property
    def first(self) -> ModelCard | None:
        """Card of the denoiser whose result the network takes; None if there is none."""
        return self.chain[0] if self.chain else None

    @property
    def noise_levels(self) -> tuple[float, float] | None:
        """Smallest and largest noise the model was trained for, as standard deviations in shares of the value range."""
        return self.sigmas if self.sigma is None else (self.sigma, self.sigma)

    def summary(self) -> str:
        """Return task, channels, scale, noise and licence in one line."""
        colours = "gray" if self.in_channels == 1 else f"{self.in_channels} channels"
        scale = f" x{self.scale}" if self.scale > 1 else ""
        return f"{self.name}: {self.task}{scale}, {colours}; {self.noise}; {self.licence}"

    def description(self) -> str:
        """Return all fields of the card, one line each."""
        return "\n".join(f"{name:<24}{value}" for name, value in self._rows().items())

    def _repr_html_(self) -> str:
        """Describe the model in a notebook."""
        from napari_restore.html_page import fragment, table

        return fragment(table((name.strip(), value) for name, value in self._rows().items()))

    def _rows(self) -> dict[str, Any]:
        usual = {name: f"{value} (assumed)" for name, value in self.hyperparameters.items() if name in self.assumed}
        rows: dict[str, Any] = {
            "name": self.name, "title": self.title, "task": self.task, "network": self.architecture,
            **{f"  {name}": usual.get(name, value) for name, value in self.hyperparameters.items()},
            "parameters": "unknown" if self.parameters is None else f"{self.parameters:,}",
            "channels": f"{self.in_channels} in, {self.out_channels} out", "scale": self.scale,
            "trained for": self.noise, "alignment": f"{self.alignment} px",
            "tiles": f"{self.tile} px, halo {self.halo}, blend {self.blend}",
            "licence": f"{self.licence} {self.licence_url}".rstrip(), "paper": self.paper,
            "weights": self.url or self.weights, "SHA-256": self.sha256 or "pinned on first use",
        }  # fmt: skip
        if self.training:
            rows["training"] = "{steps} steps of {batch} × {patch}² pixels, seed {seed}".format(**self.training)
            larger_from = self.training.get("larger_from", 1.0)
            if larger_from < 1:
                rows["training"] += f"; twice as wide, a quarter as many, from {larger_from:.0%} of them on"
        if "parent" in self.training:
            rows["adapted from"] = "{parent}, by {method}: {why}".format_map({"method": "", "why": "", **self.training})
        if self.scores:
            rows["scores"] = "means over the sets of docs/quality.md"
        for group, score in self.scores.items():
            rows[f"  {group}"] = "{psnr:.2f} dB, SSIM {ssim:.3f}, {images} images".format(**score)
        return rows

    def licence_notice(self) -> str:
        """Return the licence notice that is logged before weights are fetched."""
        terms = f" ({self.licence_url})" if self.licence_url else ""
        return f"{self.name} is fetched from {self.url}; its weights are the authors', under: {self.licence}{terms}."


def tiling_defaults(architecture: Architecture, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Return default alignment, tile, halo, blend and memory of a network.

    Parameters
    ----------
    architecture : {"restormer", "swinir"}
        The network.
    hyperparameters : dict of str to object
        Keyword arguments of its class.

    Returns
    -------
    dict of str to object
        Fields of `ModelCard`: alignment, tile, halo, blend, exact_tiles, minimum_size and bytes_per_pixel.
    """
    if architecture == "restormer":
        # Attention over a tile of about the training size gives better results than over a whole image (TLC, arXiv
        # 2112.04491). Measured on the bundled network: 3.2 kB per pixel at 16 features.
        width = hyperparameters["dim"] * 60 * 4
        return {
            "alignment": 8, "tile": 256, "halo": 16, "blend": 32, "exact_tiles": False, "minimum_size": 8,
            "bytes_per_pixel": width,
        }  # fmt: skip
    window = hyperparameters["window"]
    tile, halo = (256, 40) if window == 8 else (32 * window, 6 * window)
    exact = True
    if side := hyperparameters.get("absolute_positions", 0):
        # The network sees images of this size only, and each place of a tile differs: halo and blend stay small.
        halo = min(halo, max(1, side // (8 * window)) * window) if side >= 4 * window else 0
        tile, exact = side, False
    scale = hyperparameters.get("scale", 1)
    # Measured on the bundled network: 4.9 kB per pixel at 36 features; upsampling in 64 features is added.
    upsampled = 64 * 8 * scale**2 if hyperparameters.get("head") in ("pixelshuffle", "nearest+conv") else 0
    width = hyperparameters["embed_dim"] * 36 * 4 + upsampled
    return {
        "alignment": window, "tile": tile, "halo": halo, "blend": min(halo, window * 2) if side else window * 2,
        "exact_tiles": exact,
        "minimum_size": window, "bytes_per_pixel": width,
    }  # fmt: skip

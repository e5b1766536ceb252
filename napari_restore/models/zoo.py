"""Finding a model by its name or by the path of a checkpoint. Loads no torch until weights are asked for."""

from __future__ import annotations

import difflib
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_restore.errors import ModelError
from napari_restore.models.card import PAPERS, Architecture, ModelCard

if TYPE_CHECKING:
    from torch import nn

__all__ = ["bundled_cards", "card_of_file", "find_card", "load_weights", "weights_path"]

_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")


def _weights_folder() -> Path:
    return Path(str(resources.files("napari_restore.models"))) / "weights"


@cache
def bundled_cards() -> tuple[ModelCard, ...]:
    """Read the cards of the bundled models, sorted by name."""
    return tuple(
        ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
        for path in sorted(_weights_folder().glob("*.json"))
    )


def find_card(model: str | Path) -> ModelCard:
    """Give the card of a bundled model by name, or make one for the checkpoint at a path.

    Raises
    ------
    ModelError
        If there is no such model or file; the message suggests the nearest name.
    """
    names = {card.name: card for card in bundled_cards()}
    if isinstance(model, str) and model in names:
        return names[model]
    path = Path(model).expanduser()
    if path.suffix.lower() in _SUFFIXES or path.is_file():
        return card_of_file(path)
    near = difflib.get_close_matches(str(model), names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(
        f"there is no model {str(model)!r}; {hint}Models: {', '.join(names)}; or give the path of a "
        f"checkpoint ({', '.join(_SUFFIXES)})."
    )


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


def card_of_file(path: Path) -> ModelCard:
    """Make a card for a checkpoint of the user's own from its parameters' shapes.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or its parameters belong to neither network.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; give the path of a .safetensors or .pth file.")
    state = path.stat()
    return _card_of_file(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _card_of_file(path: Path, modified: int, size: int) -> ModelCard:
    """Read a checkpoint once; a file that has changed since is another one."""
    from napari_restore.models.architecture import infer_architecture
    from napari_restore.models.checkpoint import file_digest, read_state_dict

    architecture, hyperparameters = infer_architecture(read_state_dict(path))
    scale = hyperparameters.get("scale", 1)
    return ModelCard(
        name=path.stem,
        title=f"{path.name}, a {architecture} checkpoint",
        task="super-resolve" if scale > 1 else "other",
        architecture=architecture,
        hyperparameters=hyperparameters,
        scale=scale,
        in_channels=hyperparameters["in_channels"],
        out_channels=hyperparameters["out_channels"],
        noise="unknown: the file does not tell what it was trained for",
        licence="unknown: that of the file's authors",
        paper=PAPERS[architecture],
        weights=str(path.resolve()),
        sha256=file_digest(path),
        **tiling_defaults(architecture, hyperparameters),
    )


def weights_path(card: ModelCard) -> Path:
    """Where the weights of a card lie on this machine."""
    return _weights_folder() / card.weights if card.bundled else Path(card.weights)


def load_weights(card: ModelCard) -> nn.Module:
    """Build the card's network and load its weights: on the CPU, float32, in evaluation mode.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or is not the one the card was made for.
    """
    from napari_restore.models.checkpoint import file_digest, load_network

    path = weights_path(card)
    if not path.is_file():
        raise ModelError(
            f"the weights of {card.name} are not at {path}; install the package again or restore the file."
        )
    digest = file_digest(path)
    if digest != card.sha256:
        raise ModelError(
            f"{path} has SHA-256 {digest[:12]}..., not {card.sha256[:12]}... as the card of {card.name} says; "
            "the file has changed: fetch it again, or start a new run with it."
        )
    network, _, _ = load_network(path, (card.architecture, card.hyperparameters))
    return network

"""Finding a model by its name or by the path of a checkpoint. Loads no torch until weights are asked for."""

from __future__ import annotations

import difflib
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from napari_restore.errors import ModelError
from napari_restore.models.card import PAPERS, ModelCard, tiling_defaults
from napari_restore.models.fetch import Progress, fetch, models_folder, pinned_digest
from napari_restore.models.published import published_cards

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "all_cards",
    "bundled_cards",
    "card_of_file",
    "check_weights",
    "convert",
    "find_card",
    "load_weights",
    "local_card",
    "weights_path",
    "weights_size",
    "weights_state",
]

_TEXTS = {"title", "task", "noise", "sigma", "sigmas", "correlated", "licence", "licence_url"}
"""What the card of a published file adds to what its shapes tell."""
_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")


def _weights_folder() -> Path:
    return Path(str(resources.files("napari_restore.models"))) / "weights"


@cache
def bundled_cards() -> tuple[ModelCard, ...]:
    """Read the cards of the bundled models, sorted by name."""
    return tuple(
        ModelCard.model_validate_json(path.read_text(encoding="utf-8")).model_copy(update={"bundled": True})
        for path in sorted(_weights_folder().glob("*.json"))
    )


def all_cards() -> tuple[ModelCard, ...]:
    """Give the cards of all models that can be named: the bundled ones, then the published ones."""
    return bundled_cards() + tuple(_listed(card) for card in published_cards())


def _listed(card: ModelCard) -> ModelCard:
    """Give a card as it is where what was noted of its file is damaged: that is told when the model is used."""
    try:
        return _pinned(card)
    except ModelError:
        return card


def _pinned(card: ModelCard) -> ModelCard:
    """Add the digest that was noted when the file was first fetched."""
    digest = None if card.sha256 else pinned_digest(weights_path(card))
    return card.model_copy(update={"sha256": digest, "pinned": True}) if digest else card


def find_card(model: str | Path, *, img_range: float | None = None, mean: tuple[float, ...] | None = None) -> ModelCard:
    """Give the card of a model by name, or make one for the checkpoint at a path.

    Parameters
    ----------
    model
        Name of a bundled or published model, the official name of a published file without its suffix, or a path.
    img_range, mean
        See `card_of_file`; for a path alone.

    Raises
    ------
    ModelError
        If there is no such model or file; the message suggests the nearest name.
    """
    published = {Path(card.weights).stem: card for card in published_cards()}
    names = {card.name: card for card in (*bundled_cards(), *published.values())}
    if isinstance(model, str) and (card := names.get(model) or published.get(model)):
        if img_range is not None or mean is not None:
            raise ModelError(f"the card of {card.name} tells its img_range and mean; they are for checkpoints by path.")
        return _pinned(card)
    path = Path(model).expanduser()
    if path.suffix.lower() in _SUFFIXES or path.is_file():
        if not path.is_file() and path.stem in published:
            raise ModelError(
                f"checkpoint {path} does not exist; model={published[path.stem].name!r} fetches it, or put it there."
            )
        return card_of_file(path, img_range=img_range, mean=mean)
    near = difflib.get_close_matches(str(model), [*names, *published], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(
        f"there is no model {str(model)!r}; {hint}Bundled: {', '.join(card.name for card in bundled_cards())}; "
        f"`napari-restore models` lists all {len(names)}; or give the path of a checkpoint ({', '.join(_SUFFIXES)})."
    )


def card_of_file(path: Path, *, img_range: float | None = None, mean: tuple[float, ...] | None = None) -> ModelCard:
    """Make a card for a checkpoint of the user's own from its parameters' shapes.

    Parameters
    ----------
    path
        The file.
    img_range, mean
        What SwinIR's shapes do not tell, see `napari_restore.networks.swinir.SwinIR`; by default what the file's
        metadata say, or the published models' values.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or its parameters belong to neither network, or the two numbers do not fit.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; give the path of a .safetensors or .pth file.")
    state = path.stat()
    return _card_of_file(path, state.st_mtime_ns, state.st_size, img_range, mean)


@lru_cache(maxsize=16)
def _card_of_file(
    path: Path, modified: int, size: int, img_range: float | None, mean: tuple[float, ...] | None
) -> ModelCard:
    """Read a checkpoint once; a file that has changed since is another one."""
    from napari_restore.models.checkpoint import UNTOLD, file_digest, read_metadata, read_network, untold

    entries, architecture, hyperparameters = read_network(path)
    try:
        given = untold(img_range, mean)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{error}; give SwinIR's range as one number and its mean as one for each channel.") from None
    if given and architecture != "swinir":
        raise ModelError(f"{path.name} is a {architecture}, which has no {' or '.join(given)}; leave that out.")
    told = {**read_metadata(path), **given} if architecture == "swinir" else {}
    hyperparameters |= told
    if len(hyperparameters.get("mean") or [0] * hyperparameters["in_channels"]) != hyperparameters["in_channels"]:
        raise ModelError(f"{path.name} has {hyperparameters['in_channels']} channels; give mean one number for each.")
    scale, digest = hyperparameters.get("scale", 1), file_digest(path)
    card = ModelCard(
        name=path.stem,
        title=f"{path.name}, a {architecture} checkpoint" + (f" ({words})" if (words := entries.words()) else ""),
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
        sha256=digest,
        parameters=sum(value.numel() for value in entries.state.values()),
        assumed=tuple(name for name in UNTOLD if name not in told) if architecture == "swinir" else (),
        **tiling_defaults(architecture, hyperparameters),
    )
    return card if given else _as_published(card)


def _as_published(card: ModelCard) -> ModelCard:
    """Complete the card of a file that is a published one: by its digest, or its name where that is not known."""
    for published in published_cards():
        same = published.sha256 == card.sha256 if published.sha256 else Path(published.weights).stem == card.name
        if same and {**card.hyperparameters, **published.hyperparameters} == card.hyperparameters:
            texts = published.model_dump(include=_TEXTS)
            return card.model_copy(update={**texts, "assumed": ()})
    return card


def convert(
    model: str | Path, target: Path, *, half: bool = False, img_range: float | None = None,
    mean: tuple[float, ...] | None = None,
) -> ModelCard:  # fmt: skip
    """Write a model's weights alone, as a ``.safetensors`` file that tells its hyper-parameters.

    Parameters
    ----------
    model
        Name of a model, or path of a checkpoint.
    target
        File to write; its suffix is ``.safetensors``, and nothing is there yet.
    half
        Store float16: half the size, and a relative error of 2^-11 in each weight. Networks still compute in float32.
    img_range, mean
        See `card_of_file`; for a path alone.

    Returns
    -------
    ModelCard
        Of the file written.

    Raises
    ------
    ModelError
        If the model cannot be read, or the target is there already or has another suffix.
    """
    from napari_restore.models.checkpoint import read_network, write_checkpoint

    if target.suffix != ".safetensors":
        raise ModelError(f"{target} does not end in .safetensors, which is what a checkpoint is converted to.")
    if target.exists():
        raise ModelError(f"{target} is there already; name another file, or remove it.")
    card = local_card(find_card(model, img_range=img_range, mean=mean))
    entries, _, _ = read_network(weights_path(card), (card.architecture, card.hyperparameters))
    write_checkpoint(target, entries.state, card.architecture, card.hyperparameters, half=half)
    return card_of_file(target)


def weights_path(card: ModelCard) -> Path:
    """Where the weights of a card lie on this machine, or will lie once they are fetched."""
    if card.bundled:
        return _weights_folder() / card.weights
    return models_folder() / card.weights if card.url else Path(card.weights)


def weights_size(card: ModelCard) -> int:
    """Bytes of a model's weights; for one that is not here, four for each parameter."""
    path = weights_path(card)
    return path.stat().st_size if path.is_file() else 4 * (card.parameters or 0)


def weights_state(card: ModelCard) -> str:
    """Say in a few words whether the weights are here, and how their identity is known."""
    if card.url is None and not weights_path(card).is_file():
        return "missing"
    if card.bundled:
        return "bundled"
    if card.url is None:
        return "file"
    if weights_path(card).is_file():
        return "downloaded, pinned" if card.pinned else "downloaded" if card.sha256 else "downloaded, not yet pinned"
    return "will download" if card.sha256 else "will download, pinned on first use"


def local_card(card: ModelCard, progress: Progress | None = None) -> ModelCard:
    """Fetch the weights of a published model unless they are here, and give its card with their digest.

    Raises
    ------
    ModelError
        See `napari_restore.models.fetch.fetch`.
    """
    if card.url is None or (card.sha256 and weights_path(card).is_file()):
        return card
    return fetch(card, progress)


def check_weights(card: ModelCard) -> Path:
    """Check that the weights of a card are here and are those that it was made for, and say where they are.

    Raises
    ------
    ModelError
        If the file is missing, or is another one.
    """
    from napari_restore.models.checkpoint import file_digest

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
    return path


def load_weights(card: ModelCard) -> nn.Module:
    """Build the card's network and load its weights: on the CPU, float32, in evaluation mode.

    Weights of a published model that are not here are fetched.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or is not the one the card was made for.
    """
    from napari_restore.models.checkpoint import load_network

    card = local_card(card)
    path = check_weights(card)
    network, _, _ = load_network(path, (card.architecture, card.hyperparameters))
    return network

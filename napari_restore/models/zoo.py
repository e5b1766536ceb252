"""Find models by name or by the path of a checkpoint; torch is imported only when weights are read."""

from __future__ import annotations

import difflib
from functools import cache, lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from napari_restore.errors import ModelError
from napari_restore.models.card import PAPERS, ModelCard, tiling_defaults
from napari_restore.models.fetch import Progress, fetch, models_folder, pinned_digest
from napari_restore.models.packages import find_package
from napari_restore.models.published import published_cards
from napari_restore.ways_out import WayOut

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "all_cards", "bundled_cards", "card_of_file", "check_weights", "convert", "find_card", "load_weights", "local_card",
    "weights_path", "weights_size", "weights_state",
]  # fmt: skip

_TEXTS = {"title", "task", "noise", "sigma", "sigmas", "correlated", "licence", "licence_url"}
"""Fields that the card of a published file has and that cannot be inferred from its shapes."""
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
    """Return the cards of all models that have a name: the bundled ones, then the published ones."""
    return bundled_cards() + tuple(_listed(card) for card in published_cards())


def _listed(card: ModelCard) -> ModelCard:
    """Add the pinned digest to a card; a damaged record is ignored here, and reported when the model is used."""
    try:
        return _pinned(card)
    except ModelError:
        return card


def _pinned(card: ModelCard) -> ModelCard:
    """Add the digest that was recorded when the file was first fetched."""
    digest = None if card.sha256 else pinned_digest(weights_path(card))
    return card.model_copy(update={"sha256": digest, "pinned": True}) if digest else card


def find_card(model: str | Path, *, img_range: float | None = None, mean: tuple[float, ...] | None = None) -> ModelCard:
    """Find the card of a model by name, or make one for the checkpoint at a path.

    Parameters
    ----------
    model : str or Path
        Name of a bundled or published model, the official name of a published file without its suffix, or a path.
    img_range : float, optional
        See `card_of_file`; only for a path.
    mean : tuple of float, optional
        See `card_of_file`; only for a path.

    Returns
    -------
    ModelCard
        The card.

    Raises
    ------
    ModelError
        If there is no such model or file; the message suggests the nearest name.
    """
    published = {Path(card.weights).stem: card for card in published_cards()}
    names = {card.name: card for card in (*bundled_cards(), *published.values())}
    if isinstance(model, str) and (card := names.get(model) or published.get(model)):
        if img_range is not None or mean is not None:
            raise ModelError(
                f"the card of {card.name} has its own range and mean; give them only with a checkpoint of your own."
            )
        return _pinned(card)
    path = Path(model).expanduser()
    if (package := find_package(path)) is not None:
        return package.card(partial(card_of_file, package.weights), img_range=img_range, mean=mean)
    if path.suffix.lower() in _SUFFIXES or path.exists():
        if not path.exists() and path.stem in published:
            raise ModelError(
                f"checkpoint {path} does not exist; put it there, or use the model {published[path.stem].name}, which "
                "is fetched."
            )
        return card_of_file(path, img_range=img_range, mean=mean)
    near = difflib.get_close_matches(str(model), [*names, *published], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(
        f"there is no model {str(model)!r}; {hint}Bundled: {', '.join(card.name for card in bundled_cards())}; "
        f"or give the path of a checkpoint ({', '.join(_SUFFIXES)})",
        WayOut(
            f"`api.models()` lists all {len(names)} models.",
            f"`napari-restore models` lists all {len(names)} models.",
            f"the list under Model has all {len(names)} models.",
        ),
    )


def card_of_file(path: Path, *, img_range: float | None = None, mean: tuple[float, ...] | None = None) -> ModelCard:
    """Make a card for a checkpoint of the user from the shapes of its parameters.

    Parameters
    ----------
    path : Path
        The file.
    img_range : float, optional
        Hyper-parameter of SwinIR that cannot be inferred from shapes, see `napari_restore.networks.swinir.SwinIR`; by
        default the value in the metadata of the file, or that of the published models.
    mean : tuple of float, optional
        The same, one value per channel.

    Returns
    -------
    ModelCard
        The card.

    Raises
    ------
    ModelError
        If the file is missing or damaged, its parameters belong to neither network, or `img_range` or `mean` does not
        fit them.
    """
    if path.is_dir():
        raise ModelError(
            f"{path} is a folder, and a checkpoint is a file; give the path of a .safetensors or .pth file."
        )
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; give the path of a .safetensors or .pth file.")
    state = path.stat()
    return _card_of_file(path, state.st_mtime_ns, state.st_size, img_range, mean)


@lru_cache(maxsize=16)
def _card_of_file(
    path: Path, modified: int, size: int, img_range: float | None, mean: tuple[float, ...] | None
) -> ModelCard:
    """Read a checkpoint once; a file that has changed since is another one."""
    from napari_restore.models.checkpoint import file_digest, read_network
    from napari_restore.models.metadata import NOT_INFERRED, check_not_inferred, read_metadata, with_own_fields

    entries, architecture, hyperparameters = read_network(path)
    try:
        given = check_not_inferred(img_range, mean)
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
        assumed=tuple(name for name in NOT_INFERRED if name not in told) if architecture == "swinir" else (),
        **tiling_defaults(architecture, hyperparameters),
    )
    own = with_own_fields(card, path)
    return own if given or own is not card else _as_published(card)


def _as_published(card: ModelCard) -> ModelCard:
    """Complete the card of a published file, recognised by its digest, or by its name if the digest is not known."""
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
    """Write the weights of a model as a ``.safetensors`` file with its hyper-parameters.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint.
    target : Path
        New file, with the suffix ``.safetensors``.
    half : bool
        Whether to store float16: half the size, and a relative error of 2^-11 in each weight. Networks still compute in
        float32.
    img_range : float, optional
        See `card_of_file`; only for a path.
    mean : tuple of float, optional
        See `card_of_file`; only for a path.

    Returns
    -------
    ModelCard
        Card of the new file.

    Raises
    ------
    ModelError
        If the model cannot be read, or the target exists or has another suffix.
    """
    from napari_restore.models.checkpoint import read_network, write_checkpoint
    from napari_restore.models.metadata import own_fields

    if target.suffix != ".safetensors":
        raise ModelError(f"{target} does not end in .safetensors, the format of converted checkpoints; rename it.")
    if target.exists():
        raise ModelError(f"{target} exists already; name another file, or remove it.")
    card = local_card(find_card(model, img_range=img_range, mean=mean))
    path = weights_path(card)
    entries, _, _ = read_network(path, (card.architecture, card.hyperparameters))
    write_checkpoint(target, entries.state, card.architecture, card.hyperparameters, half=half, card=own_fields(path))
    return card_of_file(target)


def weights_path(card: ModelCard) -> Path:
    """Return the path of a model's weights on this machine, where they are or will be fetched to.

    Parameters
    ----------
    card : ModelCard
        Card of the model.

    Returns
    -------
    Path
        The file.
    """
    if card.bundled:
        return _weights_folder() / card.weights
    return models_folder() / card.weights if card.url else Path(card.weights)


def weights_size(card: ModelCard) -> int:
    """Return the size of a model's weights in bytes; weights not yet fetched count four bytes per parameter.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    """
    if card.chain:
        return sum(map(weights_size, card.chain))
    path = weights_path(card)
    return path.stat().st_size if path.is_file() else 4 * (card.parameters or 0)


def weights_state(card: ModelCard) -> str:
    """Describe whether the weights are on this machine, and how their identity is verified.

    Of two networks, the one that must be fetched is described, or else the second.

    Parameters
    ----------
    card : ModelCard
        Card of a model.

    Returns
    -------
    str
        "bundled", "file", "missing", or words that begin with "downloaded" or "will download".
    """
    if card.chain:
        states = [*map(weights_state, card.chain)]
        return next((state for state in states if state.startswith("will")), states[-1])
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
    """Fetch the weights of a published model unless they are on this machine; return its card with their digest.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    progress : callable, optional
        See `napari_restore.models.fetch.Progress`.

    Returns
    -------
    ModelCard
        The card, with the digest of the file.

    Raises
    ------
    ModelError
        See `napari_restore.models.fetch.fetch`.
    """
    if card.chain:
        chain = tuple(local_card(network, progress) for network in card.chain)
        same = {name: getattr(chain[-1], name) for name in ("sha256", "pinned")}
        return card.model_copy(update={"chain": chain, **same})
    if card.url is None or (card.sha256 and weights_path(card).is_file()):
        return card
    return fetch(card, progress)


def check_weights(card: ModelCard) -> Path:
    """Check that the weights of a card are on this machine and have its digest.

    Parameters
    ----------
    card : ModelCard
        Card of the model. If it has two networks, both are checked.

    Returns
    -------
    Path
        Path of the weights; of two networks, of the second.

    Raises
    ------
    ModelError
        If a file is missing, or has another digest.
    """
    from napari_restore.models.checkpoint import file_digest

    if card.chain:
        return [check_weights(network) for network in card.chain][-1]
    path = weights_path(card)
    if not path.is_file():
        raise ModelError(
            f"the weights of {card.name} are not at {path}; install the package again or restore the file."
        )
    digest = file_digest(path)
    if digest != card.sha256:
        raise ModelError(
            f"{path} has the digest {digest[:12]}..., not {card.sha256[:12]}... as the card of {card.name} says; "
            "the file has changed: fetch it again, or start a new run with it."
        )
    return path


def load_weights(card: ModelCard) -> nn.Module:
    """Build the network of a card and load its weights, which are fetched if they are not on this machine.

    Parameters
    ----------
    card : ModelCard
        Card of the model.

    Returns
    -------
    torch.nn.Module
        The network on the CPU, float32, in evaluation mode.

    Raises
    ------
    ModelError
        If the file is missing or damaged, or has another digest than the card.
    """
    from napari_restore.models.checkpoint import load_network

    if card.chain:
        from torch import nn

        return nn.Sequential(*map(load_weights, card.chain)).eval()
    card = local_card(card)
    path = check_weights(card)
    network, _, _ = load_network(path, (card.architecture, card.hyperparameters))
    return network

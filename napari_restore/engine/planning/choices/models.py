"""Recommend models for an image: those for its channels and its noise, best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_restore.engine.planning.noise_fit import TOLERANCE, leaves_noise, misfit
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.models.card import ModelCard
from napari_restore.models.zoo import all_cards, weights_size, weights_state
from napari_restore.wording import human_bytes, percent, percent_span

__all__ = ["Recommendation", "recommend"]


@dataclass(frozen=True)
class Recommendation:
    """A model, and how it suits an image.

    Attributes
    ----------
    card : ModelCard
        Card of the model.
    reason : str
        Its channels, noise levels and weights, compared with the image, in one line.
    fits : bool
        Whether channels and noise of the image are what the model was trained for.
    """

    card: ModelCard
    reason: str
    fits: bool


def recommend(plan: Plan, noise: Sequence[NoiseEstimate | None]) -> tuple[Recommendation, ...]:
    """Order the models of the task of a plan by how they suit its image.

    Parameters
    ----------
    plan : Plan
        Plan whose value range is chosen; a model that super-resolves stands for all of these, and any other one for
        denoisers.
    noise : sequence of (NoiseEstimate or None)
        Estimate of each channel, in data units.

    Returns
    -------
    tuple of Recommendation
        Best first: models whose channels are those of the image, then those for its noise, then bundled ones, then
        those with weights on this machine, then the largest.
    """
    task = "super-resolve" if plan.card.scale > 1 else "denoise"
    cards = [card for card in all_cards() if card.task == task and card.in_channels == card.out_channels]
    return tuple(made for _, made in sorted(_ranked(plan, noise, cards), key=lambda pair: pair[0]))


def _ranked(
    plan: Plan, noise: Sequence[NoiseEstimate | None], cards: Sequence[ModelCard]
) -> Iterator[tuple[tuple[float, ...], Recommendation]]:
    samples = plan.image.sizes.get("S", 1)
    ranges = broadcast(plan.recipe.value_range or ((0.0, 1.0),), len(noise))
    shares = [e.sigma_median / (high - low) for e, (low, high) in zip(noise, ranges, strict=False) if e is not None]
    for number, card in enumerate(cards):
        factor = max((misfit(card, share) for share in shares), default=1.0)
        unknown = card.noise_levels is None
        noisy = shares and (unknown or factor > TOLERANCE)
        leaves = any(leaves_noise(card, estimate) for estimate in noise if estimate is not None)
        here = not weights_state(card).startswith("will")
        rank = (
            card.in_channels != samples, bool(noisy or leaves), factor if noisy else 1.0, not card.bundled, not here,
            -(card.parameters or 0) if card.task == "denoise" else card.scale, number,
        )  # fmt: skip
        parts = (
            _colours(card, samples),
            _noise(card, max(shares, key=lambda share: misfit(card, share)) if shares else None, leaves),
            "neighbouring planes are averaged first" if plan.fuses and card.task == "denoise" else "",
            "bundled" if card.bundled else "downloaded" if here else f"{human_bytes(weights_size(card))} to download",
        )
        fits = card.in_channels == samples and not noisy and not leaves
        yield rank, Recommendation(card, "; ".join(part for part in parts if part), fits)


def _colours(card: ModelCard, samples: int) -> str:
    if card.in_channels == samples:
        return "gray" if samples == 1 else "colour samples together"
    return "each colour on its own" if card.in_channels == 1 else "made for RGB; the layer is gray"


def _noise(card: ModelCard, share: float | None, leaves: bool) -> str:
    """Compare noise with what a model was trained for; the noise levels alone if there is no estimate."""
    if card.noise_levels is None:
        return "made for photographs"
    if card.noise_levels[1] == 0:
        return "made for images without noise" + (f", {percent(share)} here" if share is not None else "")
    made = f"made for {percent_span(card.noise_levels)} noise"
    here = f", {percent(share)} here" if share is not None else ""
    return f"{made}{here}" + (", which is correlated between pixels" if leaves else "")

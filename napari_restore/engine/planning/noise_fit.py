"""Compare the noise of an image with the noise that a model was trained for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.models.card import ModelCard
from napari_restore.models.zoo import all_cards
from napari_restore.wording import percent

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan

__all__ = [
    "TOLERANCE",
    "NoiseFit",
    "leaves_noise",
    "matched_noise_fit",
    "misfit",
    "noise_fit",
    "plan_noise_fit",
]

TOLERANCE = 1.5
"""Factor by which noise may differ from what a model expects. Published models are trained for 15, 25 and 50/255: at
1.3 to 1.4 times the level of one, the next one is nearer, and estimates are off by up to about a fifth."""
_TOO_LITTLE_TO_TELL = 0.01
"""Share of the range below which noise cannot be distinguished from structure (`napari_restore.intensity.noise`)."""
_FAR_BELOW = 3.0
"""Factor below the lowest noise level of a model, if that is less than 1 % of the range, up to which it does no harm.
Measured with the bundled model (lowest level 0.8 %): at 0.2 % of the range the result is 4 dB better than the image,
at 0.1 % 1 dB worse, and at 0.02 % 15 dB worse; a dim image beside bright areas loses 2 dB at 0.18 %, 8 dB at 0.12 %."""
_MUCH_NARROWER = 4.0
"""Ratio of the range of the image to that of its dim part from which a separate value range is recommended."""
_COMFORTABLE = 2.5
"""Noise that a recommended range results in, as a multiple of the lowest noise level of the model."""
_NOISE_MARGIN = 4.0
"""Margin of the range below the darkest and above the brightest level, in standard deviations of the noise."""
_CORRELATED = 0.2
"""Autocorrelation between neighbouring pixels from which a network for independent noise leaves noise in."""
_TOO_BRIGHT = 2.5
"""Brightness, relative to the brightest training images, from which a network may lose structure."""
_STABILISED: Mapping[str, Any] = {"intensity": "poisson-gaussian"}

_Warning = tuple[str, Mapping[str, Any]]
"""A text, and the settings that follow its advice."""


@dataclass(frozen=True)
class NoiseFit:
    """A comparison of estimated noise with the noise that a model expects; `print` shows it.

    Attributes
    ----------
    text : str
        Estimated and expected noise, in one line.
    warnings : tuple of str
        One line for each difference that matters, with advice; empty if there is none.
    helps : dict of str to object
        Settings that follow the advice, by name, ``model`` among them; empty if no setting does.
    share : float or None
        Standard deviation of the noise of the worst channel, as a share of its value range; None if it is not estimated
        or does not matter, as the noise is normalised to what the model expects.
    expected : (float, float) or None
        Smallest and largest noise that the model expects, as shares of the range; None if unknown.
    """

    text: str
    warnings: tuple[str, ...] = ()
    helps: Mapping[str, Any] = field(default_factory=dict)
    share: float | None = None
    expected: tuple[float, float] | None = None

    @property
    def too_little(self) -> bool:
        """Whether the noise is so far below what the model expects that a restoration may do harm."""
        return (
            self.share is not None
            and self.expected is not None
            and bool(self.warnings)
            and self.share < self.expected[0]
        )

    def __str__(self) -> str:
        return " ".join([self.text, *self.warnings])


def noise_fit(
    card: ModelCard,
    noise: Sequence[NoiseEstimate | None],
    value_range: Sequence[tuple[float, float]],
    others: Sequence[ModelCard] = (),
) -> NoiseFit:
    """Compare estimated noise with what a model expects.

    Parameters
    ----------
    card : ModelCard
        The model.
    noise : sequence of (NoiseEstimate or None)
        Estimate of each channel, in data units; None if it could not be estimated.
    value_range : sequence of tuple of float
        Values in data units that become 0 and 1 for the network: one pair, or one pair per channel. Noise is compared
        as a share of this range.
    others : sequence of ModelCard
        Other models. If one of them fits better, a warning names it.

    Returns
    -------
    NoiseFit
        The comparison.

    Examples
    --------
    >>> from napari_restore import api
    >>> estimate = NoiseEstimate(0.0, 100.0, levels=(0.0, 255.0), median_level=90.0, correlation=(0.0, 0.0))
    >>> fit = noise_fit(api.model_card("restormer-gray-denoise-25"), [estimate], [(0.0, 255.0)])
    >>> fit.text
    'Noise here: σ 10, 3.9 % of the range; the model expects 9.8 %.'
    >>> fit.warnings[0].partition(";")[0]
    'The model expects more noise and will remove fine structure too'
    """
    ranges = broadcast(tuple(value_range), len(noise))
    shares = {
        channel: estimate.sigma_median / (high - low)
        for channel, (estimate, (low, high)) in enumerate(zip(noise, ranges, strict=False))
        if estimate is not None
    }
    if not shares:
        return NoiseFit(f"Noise: cannot be estimated from this image{_expected(card)}.")
    # Report the channel that is farthest from what the model expects.
    channel = max(shares, key=lambda c: (misfit(card, shares[c]), shares[c]))
    estimate, share = noise[channel], shares[channel]
    assert estimate is not None
    where = f" in channel {channel}" if len(noise) > 1 else " here"
    text = f"Noise{where}: σ {estimate.sigma_median:.3g}, {percent(share)} of the range{_expected(card)}."
    found = list(_warnings(card, estimate, ranges[channel], others))
    helps = next((settings for _, settings in found if settings), {})
    if "value_range" in helps:
        helps = {"value_range": tuple(_helped(card, *each, others) for each in zip(noise, ranges, strict=False))}
    return NoiseFit(text, tuple(warning for warning, _ in found), helps, share, card.noise_levels)


def _helped(
    card: ModelCard, noise: NoiseEstimate | None, value_range: tuple[float, float], others: Sequence[ModelCard]
) -> tuple[float, float]:
    """Return the value range that the advice for a channel names, or else the range that it has."""
    found = [] if noise is None else [helps for _, helps in _warnings(card, noise, value_range, others)]
    advised = (helps["value_range"] for helps in found if "value_range" in helps)
    return next(advised, value_range)


def matched_noise_fit(
    card: ModelCard,
    noise: Sequence[NoiseEstimate | None],
    brightest: Sequence[float],
    others: Sequence[ModelCard] = (),
) -> NoiseFit:
    """Describe the noise of an image that is stabilised and normalised to the level that the model expects.

    Parameters
    ----------
    card : ModelCard
        The model.
    noise : sequence of (NoiseEstimate or None)
        Estimate of each channel, in data units; None if it could not be estimated.
    brightest : sequence of float
        Upper end of each channel's value range, normalised; the brightest value of training images is 1.
    others : sequence of ModelCard
        Other models. If one of them fits better, a warning names it.

    Returns
    -------
    NoiseFit
        The description, with a warning for correlated noise and for images that are too bright.

    Examples
    --------
    >>> from napari_restore import api
    >>> estimate = NoiseEstimate(2.0, 100.0, levels=(0.0, 255.0), median_level=90.0, correlation=(0.0, 0.0))
    >>> matched_noise_fit(api.model_card("restormer-gray-denoise-25"), [estimate], [1.2]).text
    'Noise here: σ 16.7, gain 2 per photon; stabilised, and normalised to the 9.8 % that the model expects.'
    """
    found = [estimate for estimate in noise if estimate is not None]
    if not found:
        return NoiseFit("Noise: as given; stabilised, and normalised to what the model expects.")
    worst = max(found, key=lambda estimate: estimate.sigma_median)
    level = f"the {percent(card.sigma)} that" if card.sigma else "what"
    text = (
        f"Noise here: σ {worst.sigma_median:.3g}, gain {worst.gain:.3g} per photon; stabilised, and normalised to "
        f"{level} the model expects."
    )
    correlated = max(found, key=lambda estimate: max(estimate.correlation))
    warnings = list(_correlation_warning(card, correlated, others))
    if card.sigma and max(brightest, default=0.0) > _TOO_BRIGHT:
        fitting = [o for o in _of_the_kind(card, others) if o.sigma and o.sigma < card.sigma]
        better = max(fitting, key=lambda o: o.sigma or 0).name if fitting else ""
        text_of_it = (
            f"Relative to its noise, the image is {max(brightest):.1f} times as bright as the model's training images, "
            f"and may lose faint structure{f'; {better} fits better' if better else ''}."
        )
        warnings.append((text_of_it, {"model": better} if better else {}))
    helps = next((settings for _, settings in warnings if settings), {})
    return NoiseFit(text, tuple(warning for warning, _ in warnings), helps, None, card.noise_levels)


def _of_the_kind(card: ModelCard, others: Sequence[ModelCard]) -> list[ModelCard]:
    """Return the models of the same task, architecture and channels."""
    kind = (card.task, card.architecture, card.in_channels)
    return [other for other in others if (other.task, other.architecture, other.in_channels) == kind]


def leaves_noise(card: ModelCard, noise: NoiseEstimate) -> bool:
    """Check whether noise is correlated between pixels, and a model was trained for independent noise only.

    Parameters
    ----------
    card : ModelCard
        The model.
    noise : NoiseEstimate
        The noise.

    Returns
    -------
    bool
        Whether the model may leave the noise in.
    """
    trained = card.task == "denoise" and card.noise_levels is not None
    return trained and not card.correlated and max(noise.correlation) > _CORRELATED


def _correlation_warning(card: ModelCard, noise: NoiseEstimate, others: Sequence[ModelCard]) -> Iterator[_Warning]:
    if leaves_noise(card, noise):
        text = (
            f"The noise is correlated between neighbouring pixels ({max(noise.correlation):.2f}), and the model was "
            "trained for independent noise only: it may leave the noise in. The bundled model was trained for both."
        )
        both = [
            o for o in others if o.bundled and o.correlated and (o.task, o.in_channels) == (card.task, card.in_channels)
        ]
        yield text, {"model": both[0].name} if both else {}


def _expected(card: ModelCard) -> str:
    if card.noise_levels is None:
        return ""
    low, high = card.noise_levels
    if high == 0:
        return "; the model expects none"
    return f"; the model expects {percent(low)}" + (f" to {percent(high)}" if low != high else "")


def misfit(card: ModelCard, share: float) -> float:
    """Return the factor between noise and the noise levels that a model expects; at most 1 within them.

    Parameters
    ----------
    card : ModelCard
        The model.
    share : float
        Standard deviation of the noise as a share of the value range.
    """
    if card.noise_levels is None:
        return 1.0
    low, high = card.noise_levels
    least = low if low > _TOO_LITTLE_TO_TELL else low / _FAR_BELOW
    return max(share / max(high, _TOO_LITTLE_TO_TELL / TOLERANCE), least / max(share, 1e-6))


def _warnings(
    card: ModelCard, noise: NoiseEstimate, value_range: tuple[float, float], others: Sequence[ModelCard]
) -> Iterator[_Warning]:
    share = noise.sigma_median / (value_range[1] - value_range[0])
    if card.task == "super-resolve" and card.noise_levels is not None:
        if share > _TOO_LITTLE_TO_TELL:
            text = (
                "Super-resolution keeps this noise or sharpens it; denoise first, in the same run (the setting denoise "
                "at auto)."
            )
            yield text, {"denoise": "auto"}
    elif card.noise_levels is not None and misfit(card, share) > TOLERANCE:
        low, high = card.noise_levels
        if share < low:
            advice, helps = _better(card, share, others) if low == high else _narrower(card, noise, value_range)
            yield f"The model expects more noise and will remove fine structure too; {advice}.", helps
        elif high == 0 or card.task != "denoise":
            yield "The model may sharpen this noise; denoise first.", {}
        else:
            wider = None if low == high else _wider(card, noise, share)
            advice, helps = wider or _better(card, share, others)
            yield f"The model expects less noise and will leave some; {advice}.", helps
    yield from _correlation_warning(card, noise, others)
    darkest, brightest = (float(noise.sigma(level)) for level in noise.levels)
    if card.sigma is not None and brightest > TOLERANCE**2 * darkest:
        text = (
            f"The noise grows with the signal, from σ {darkest:.3g} to {brightest:.3g}, and the model expects the same "
            "everywhere: stabilise it (the setting intensity at poisson-gaussian)."
        )
        yield text, _STABILISED


def _spanned(noise: NoiseEstimate) -> tuple[float, float]:
    """Return the range of the values of the image, including its noise."""
    dark, bright = noise.levels
    return (
        dark - _NOISE_MARGIN * float(noise.sigma(dark)),
        bright + _NOISE_MARGIN * float(noise.sigma(bright)),
    )


def _narrower(card: ModelCard, noise: NoiseEstimate, value_range: tuple[float, float]) -> _Warning:
    """Describe a value range in which the noise is higher, for a model that is trained for many noise levels."""
    assert card.noise_levels is not None
    (low, high), least = _spanned(noise), card.noise_levels[0]
    width = noise.sigma_median / (_COMFORTABLE * least)
    if noise.median_level < low + width < low + (high - low) / _MUCH_NARROWER:
        text = (
            "most of the image is dim beside its brightest part: give the range of that, such as "
            f"{low:.4g} to {low + width:.4g}, as the value range; what is brighter is restored at a range of its own"
        )
        return text, {"value_range": _rounded(low, low + width)}
    narrower = high - low < (value_range[1] - value_range[0]) / TOLERANCE
    if narrower and misfit(card, noise.sigma_median / (high - low)) <= TOLERANCE:
        return _spans(low, high)
    return "an image of so little noise may be better as it is", {}


def _wider(card: ModelCard, noise: NoiseEstimate, share: float) -> _Warning | None:
    """Describe a value range in which the noise is lower; None if the image does not have a wider range."""
    low, high = _spanned(noise)
    if high <= low or misfit(card, noise.sigma_median / (high - low)) > misfit(card, share) / TOLERANCE:
        return None
    return _spans(low, high)


def _spans(low: float, high: float) -> _Warning:
    text = f"the image spans {low:.4g} to {high:.4g}: give that as the value range"
    return text, {"value_range": _rounded(low, high)}


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Return the values that a text with four digits names."""
    return float(f"{low:.4g}"), float(f"{high:.4g}")


def _better(card: ModelCard, share: float, others: Sequence[ModelCard]) -> _Warning:
    """Name the largest model of the same kind that expects this noise, or else the one with the nearest noise level."""
    like = [
        other
        for other in _of_the_kind(card, others)
        if other.noise_levels is not None and misfit(other, share) < misfit(card, share)
    ]

    def rank(other: ModelCard) -> tuple[float, int, float]:
        factor = misfit(other, share)
        return max(factor, TOLERANCE), -(other.parameters or 0), factor

    best = min(like, key=rank, default=None)
    if best is None and card.sigma is not None:
        return "the setting intensity at poisson-gaussian brings it to the level of this model", _STABILISED
    if best is None:
        return "choose a model trained for this noise level", {}
    return f"{best.name} fits better", {"model": best.name}


def plan_noise_fit(plan: Plan, noise: Sequence[NoiseEstimate | None]) -> NoiseFit:
    """Compare estimated noise with what the model of a plan expects, as the plan normalises it.

    Parameters
    ----------
    plan : Plan
        Plan whose value range is chosen.
    noise : sequence of (NoiseEstimate or None)
        Estimate of each channel, in data units.
    """
    card, ranges = plan.card.networks[0], plan.recipe.value_range or ((0.0, 1.0),)
    if plan.recipe.intensity != "poisson-gaussian":
        return noise_fit(card, noise, ranges, all_cards())
    each = zip(plan.scales, broadcast(ranges, len(plan.scales)), strict=True)
    brightest = [float(scale.normalise(np.array(high))) for scale, (_, high) in each]
    return matched_noise_fit(card, noise, brightest, all_cards())

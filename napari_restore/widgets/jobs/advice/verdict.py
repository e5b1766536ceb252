"""Say in one line whether the model fits the noise of a layer, with the settings that help if it does not."""

from __future__ import annotations

__all__ = ["VALUES", "Verdict", "verdict_of"]

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_restore.engine.planning.recipe import settings
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.widgets.jobs.models.cards import noise_of
from napari_restore.wording import percent, percent_span

if TYPE_CHECKING:
    from napari_restore.engine.compute.estimate import Report
    from napari_restore.engine.planning.noise_fit import NoiseFit
    from napari_restore.models.card import ModelCard

VALUES = {"poisson-gaussian": "Camera noise"}
"""Values of settings that have another name in the window."""


@dataclass(frozen=True)
class Verdict:
    """One line about the model and the noise of a layer.

    Attributes
    ----------
    text : str
        The line.
    details : str
        The estimated and the expected noise, and all warnings with their advice.
    warning : bool
        Whether the model does not fit.
    known : bool
        Whether it is known that the model fits, or does not: not for a layer whose noise cannot be estimated.
    helps : dict of str to object
        Settings that help, by name, ``model`` among them; empty if there are none.
    button : str
        What the settings do, in a few words; empty if there are none.
    """

    text: str
    details: str
    warning: bool = False
    known: bool = True
    helps: Mapping[str, Any] = field(default_factory=dict)
    button: str = ""


def verdict_of(report: Report) -> Verdict:
    """Return the verdict on the model of a plan.

    Parameters
    ----------
    report : Report
        The plan, with the estimated noise.
    """
    fit, card = report.fit, report.plan.card.networks[0]
    details = _in_the_window(str(fit))
    if not fit.warnings:
        return Verdict(_good(fit, card), details, known=_is_known(fit))
    helps = {name: value for name, value in fit.helps.items() if getattr(report.plan.recipe, name) != value}
    button = _button(helps, report.plan.recipe.value_range or ())
    return Verdict(_bad(fit, card), details, True, helps=helps, button=button)


def _in_the_window(text: str) -> str:
    """Name controls instead of settings, and leave out those in brackets: the button sets these.

    Examples
    --------
    >>> _in_the_window("Stabilise it (the setting intensity at poisson-gaussian).")
    'Stabilise it.'
    >>> _in_the_window("the setting intensity at poisson-gaussian brings it to the level of this model")
    'Intensity at Camera noise brings it to the level of this model'
    """
    text = re.sub(r" \(the setting \w+ at [\w-]+\)", "", text)
    return re.sub(r"the setting (\w+) at ([\w-]+)", _control, text)


def _control(found: re.Match[str]) -> str:
    name, value = found.groups()
    return f"{settings()[name].control.split(' › ')[1]} at {VALUES.get(value, value)}"


def _good(fit: NoiseFit, card: ModelCard) -> str:
    if not _is_known(fit):
        return "The noise of this layer cannot be estimated"
    if fit.share is None:
        return f"Fits: noise normalised{_to(card)}"
    here = percent(fit.share)
    if fit.expected is None:
        return f"{here} noise; made for {noise_of(card)}"
    if fit.expected[1] == 0:
        return f"Fits: {here} noise, made for images without noise"
    low, high = fit.expected
    if low < high and not low <= fit.share <= high:  # so near that it does no harm: `NoiseFit.warnings`
        return f"Fits: {here} noise, near the {percent_span(fit.expected)} that it is made for"
    return f"Fits: {here} noise, made for {percent_span(fit.expected)}"


def _is_known(fit: NoiseFit) -> bool:
    """Whether the noise is estimated, or stabilised to what the model expects."""
    return fit.share is not None or "stabilised" in fit.text


def _to(card: ModelCard) -> str:
    return f" to the {percent(card.sigma)} that the model expects" if card.sigma else ""


def _bad(fit: NoiseFit, card: ModelCard) -> str:
    if fit.share is None or fit.expected is None:
        return _clause(fit.warnings[0])
    here = percent(fit.share)
    if fit.too_little:
        return f"Hardly any noise ({here}, made for {percent_span(fit.expected)}): little to gain"
    if card.task == "super-resolve":
        return f"{here} noise, which super-resolution keeps or sharpens"
    if fit.share > fit.expected[1]:
        return f"More noise ({here}) than the model is made for ({percent_span(fit.expected)})"
    return _clause(fit.warnings[0])


def _clause(warning: str) -> str:
    """Return the first clause of a warning: what is wrong, without the advice."""
    return re.split(r"[;:]|\. |, and the model", warning, maxsplit=1)[0].rstrip(".")


def _button(helps: Mapping[str, Any], ranges: tuple[tuple[float, float], ...]) -> str:
    if "model" in helps:
        return f"Use {helps['model']}"
    if "value_range" in helps:
        each = helps["value_range"]
        now = broadcast(ranges, len(each))
        changed = [(channel, pair) for channel, pair in enumerate(each) if pair != now[channel]]
        if len(changed) > 1:
            return f"Use the advised ranges of {len(changed)} channels"
        channel, (low, high) = changed[0]
        return f"Use the range {low:g} to {high:g}" + (f" for channel {channel}" if len(each) > 1 else "")
    return {"intensity": "Stabilise the noise", "denoise": "Denoise first"}.get(next(iter(helps), ""), "")

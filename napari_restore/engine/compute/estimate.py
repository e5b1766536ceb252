"""Estimate the noise of a source and the time of a run."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

import numpy as np

from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.speed import remembered_tile_seconds
from napari_restore.engine.planning.noise_fit import NoiseFit, plan_noise_fit
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.sampling import Histogram, sample_channels
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.wording import human_duration

__all__ = ["Report", "make_report", "tile_seconds", "with_time"]


@dataclass(frozen=True)
class Report:
    """A plan with estimates of noise and time; `print` shows it.

    Attributes
    ----------
    plan : Plan
        Plan of the run.
    noise : tuple of (NoiseEstimate or None)
        Estimate of each channel; None if the noise cannot be estimated from a sample.
    seconds : float or None
        Expected time of the whole run in seconds; None if the speed of the network was not measured.
    histograms : tuple of (Histogram or None)
        Histogram of each channel; None if no value of the sample is finite.
    """

    plan: Plan
    noise: tuple[NoiseEstimate | None, ...]
    seconds: float | None
    histograms: tuple[Histogram | None, ...] = ()

    @property
    def fit(self) -> NoiseFit:
        """Comparison of the noise with the noise that the model was trained for."""
        return plan_noise_fit(self.plan, self.noise)

    def __str__(self) -> str:
        names = [channel.name or "" for channel in self.plan.image.channels] or [""] * len(self.noise)
        chunks = " x ".join(map(str, self.plan.image.chunks))
        rows = [str(self.plan), f"{'stored as':<11}chunks of {chunks}"]
        rows += [f"{'noise':<11}{f'{n}: ' if n else ''}{_noise(e)}" for n, e in zip(names, self.noise, strict=True)]
        rows += [f"{'warning':<11}{warning}" for warning in self.fit.warnings if warning not in self.plan.warnings]
        time = "unknown, network not loaded" if self.seconds is None else f"about {human_duration(self.seconds)}"
        return "\n".join([*rows, f"{'time':<11}{time} on {self.plan.recipe.device}"])


def _noise(estimate: NoiseEstimate | None) -> str:
    if estimate is None:
        return "cannot be estimated from this image"
    correlation = max(estimate.correlation)
    kind = f"correlated between neighbours ({correlation:.2f})" if correlation > 0.1 else "independent"
    return f"sigma {estimate.sigma_median:.3g} at the median, gain {estimate.gain:.3g} per photon, {kind}"


def tile_seconds(plan: Plan, stop: threading.Event | None = None) -> float:
    """Measure the time of one tile in the network, in seconds.

    It is measured with all concurrent batches in the network, after one round that warms up.

    Parameters
    ----------
    plan : Plan
        The run.
    stop : threading.Event, optional
        Ends the work once it is set.

    Raises
    ------
    Cancelled
        If `stop` is set.
    """
    predict = predictor_of(plan)
    batch, lanes = plan.recipe.batch or 1, plan.recipe.lanes or 1
    tiles = np.zeros((batch, plan.card.in_channels, *plan.grid.tile_shape), np.float32)
    for _ in range(2):
        began = time.perf_counter()
        for _ in predict.stream([tiles] * lanes, batch, lanes, plan.recipe.threads, many=False, stop=stop):
            pass
    return (time.perf_counter() - began) / (batch * lanes)


def make_report(plan: Plan, *, timed: bool = True) -> Report:
    """Estimate the noise of a plan's source, and the time of its run.

    Parameters
    ----------
    plan : Plan
        The run.
    timed : bool
        Whether to load the network and measure its speed, if that of an earlier run or preview is not known.

    Returns
    -------
    Report
        The plan with the estimates.

    Raises
    ------
    ChunkError
        If the source cannot be read, unless the recipe's `on_error` is ``"fill"``.
    ModelError
        If the weights cannot be loaded.
    """
    sampled = sample_channels(plan.image, skip_damaged=plan.recipe.on_error == "fill")
    seconds = remembered_tile_seconds(plan)
    report = Report(
        plan,
        tuple(channel.noise for channel in sampled),
        None if seconds is None else seconds * plan.tiles,
        tuple(channel.histogram for channel in sampled),
    )
    return with_time(report) if timed else report


def with_time(report: Report, stop: threading.Event | None = None) -> Report:
    """Return a report with the time of the run: the speed of the network is measured if it is not known.

    Parameters
    ----------
    report : Report
        A report, with or without the time.
    stop : threading.Event, optional
        Ends the work once it is set.

    Returns
    -------
    Report
        The report with the time.

    Raises
    ------
    Cancelled
        If `stop` is set.
    ModelError
        If the weights cannot be loaded.
    """
    if report.seconds is not None:
        return report
    return replace(report, seconds=tile_seconds(report.plan, stop) * report.plan.tiles)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from napari_restore.adapting.choosing import Choice
from napari_restore.adapting.crops import SourceCrop
from napari_restore.adapting.judging import Judge
from napari_restore.adapting.outcome import Judgement


def crops(count: int = 3, side: int = 64) -> list[SourceCrop]:
    """Structure 0 and noise of variance 1."""
    rng, ones = np.random.default_rng(0), np.ones((1, side, side), np.float32)
    planes = [rng.normal(size=(1, side, side)).astype(np.float32) for _ in range(count)]
    return [SourceCrop(plane, ones > 0, ones, (0, 0), 1.0) for plane in planes]


def judge(choice: Choice) -> Judge:
    return Judge(crops(), choice, lambda pixels: 0.9 * pixels, "cpu", 0)


def test_a_better_and_a_worse_network() -> None:
    for method in ("r2r", "noise2void"):
        judged = judge(Choice(method))  # type: ignore[arg-type]
        better, worse = judged.judge(lambda pixels: 0.5 * pixels), judged.judge(lambda pixels: 1.3 * pixels)
        assert better.gain > 0 and better.significance > 3, method
        assert worse.gain < 0 and worse.significance < -3, method
        assert better.parent_loss == worse.parent_loss == judged.of_parent.loss


def test_a_gain_within_the_error_of_the_estimated_noise_is_none() -> None:
    """Less is left of the noise, but if there were less noise, that would be structure."""
    judged = Judge(crops(), Choice("r2r"), lambda pixels: 0.3 * pixels, "cpu", 0)
    assert judged.judge(lambda pixels: 0.1 * pixels).significance < 0


def lines_left(share: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """A network that leaves a share of the offsets of rows."""
    return lambda pixels: pixels - (1 - share) * pixels.mean(-1, keepdim=True)


def test_lines_that_are_taken_away_are_a_gain_as_far_as_their_variance_is_known() -> None:
    rng, whole = np.random.default_rng(1), crops(8)
    offsets = [rng.normal(0, 2, (1, 64, 1)).astype(np.float32) for _ in whole]
    given = [
        replace(crop, pixels=crop.pixels + offset, lines=(4.0, 0.0))
        for crop, offset in zip(whole, offsets, strict=True)
    ]
    for before, after, gained in ((0.9, 0.5, True), (0.5, 0.9, False), (0.3, 0.05, False)):
        judged = Judge(given, Choice("r2r", lines="X"), lines_left(before), "cpu", 0).judge(lines_left(after))
        assert judged.is_significant is gained, (before, after)


def noise_left(dark: float, bright: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """A network that leaves other shares of the noise in bright crops than in dark ones."""

    def network(pixels: torch.Tensor) -> torch.Tensor:
        level = 100.0 * (pixels.mean((1, 2, 3), keepdim=True) > 50)
        return level + torch.where(level > 0, bright, dark) * (pixels - level)

    return network


def test_dark_crops_do_not_gain_at_the_cost_of_bright_ones() -> None:
    """In units of its own noise, a dark crop counts as much as a bright one with 25 times its variance."""
    dark = [replace(crop, partner=np.zeros_like(crop.pixels)) for crop in crops(7)]
    ones = np.ones_like(dark[0].pixels)
    bright = replace(dark[0], pixels=100 + 5 * dark[0].pixels, variance=25 * ones, partner=100 * ones)
    judged = Judge([*dark, bright], Choice("supervised"), noise_left(0.5, 0.5), "cpu", 0)
    assert judged.judge(noise_left(0.3, 0.4)).is_significant
    assert judged.judge(noise_left(0.3, 0.7)).significance < 0
    assert judged.judge(noise_left(0.9, 0.1)).significance < 0


def test_weights_whose_gain_is_no_chance_are_preferred_to_a_larger_one_that_may_be() -> None:
    parent, sure, more, unsure = (
        Judgement(1.0, 1.0 - gain, error) for gain, error in ((0, 0), (0.1, 0.01), (0.2, 0.02), (0.3, 0.2))
    )
    assert sure.is_better_than(parent) and more.is_better_than(sure) and unsure.is_better_than(parent)
    assert sure.is_better_than(unsure) and not unsure.is_better_than(more)
    assert not parent.is_better_than(parent) and not Judgement(1.0, 1.1, 0.01).is_better_than(parent)


def test_the_parent_beside_itself_is_no_better() -> None:
    found = judge(Choice("r2r")).judge(lambda pixels: 0.9 * pixels)
    assert found.gain == 0 and found.significance == 0


def test_the_error_is_that_of_chance() -> None:
    """Changes without any effect on the error are within two standard errors nearly always."""
    changes = [torch.randn(64, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    judged = Judge(crops(), Choice("r2r"), lambda pixels: pixels * 0, "cpu", 0)
    scores = [judged.judge(lambda pixels, c=change: 0.1 * c.expand_as(pixels)) for change in changes]
    # A constant added picture of mean square 0.01 costs 0.01, and its product with the noise is chance.
    away = [(score.loss - score.parent_loss - 0.01) / score.error for score in scores]
    assert 0.4 < float(np.std(away)) < 1.8 and abs(float(np.mean(away))) < 1.0

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image

from napari_restore import api
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.preview import make_preview


def test_a_piece_in_the_middle_comes_first(checkpoints: dict[str, Path]) -> None:
    """Attention over whole tiles: a piece has the tiles of the run."""
    layer = Image(np.random.default_rng(0).poisson(100, (300, 400)).astype(np.uint16))
    whole = (slice(0, 300), slice(0, 400))
    job = Job.of(layer, "YX", whole, Choices.of(str(checkpoints["denoiser"]), tile=128, halo=8))
    view = (slice(10, 250), slice(20, 390))
    piece, all_of_it = make_preview(job, view, None, threading.Event())
    assert not piece.complete and all_of_it.complete and all_of_it.region == view
    assert 0 < piece.pixels.size < 0.2 * all_of_it.pixels.size
    top, left = (a - b for a, b in zip(piece.origin, all_of_it.origin, strict=True))
    height, width = piece.pixels.shape
    np.testing.assert_array_equal(piece.pixels, all_of_it.pixels[top : top + height, left : left + width])


def test_what_takes_a_few_tiles_comes_at_once(checkpoints: dict[str, Path]) -> None:
    layer = Image(np.random.default_rng(0).poisson(100, (64, 64)).astype(np.uint16))
    whole = (slice(0, 64), slice(0, 64))
    job = Job.of(layer, "YX", whole, Choices.of(str(checkpoints["denoiser"])))
    assert [made.complete for made in make_preview(job, whole, None, threading.Event())] == [True]


@pytest.mark.parametrize(("corner", "steps"), [((0, 0), 2), ((188, 288), 3)])
def test_first_looks_are_close_to_the_run_and_the_last_is_the_run(
    checkpoints: dict[str, Path], corner: tuple[int, int], steps: int
) -> None:
    """The second view touches nine tiles, and needs a third of their pixels."""
    rng = np.random.default_rng(0)
    layer = Image(rng.poisson(100 + 50 * np.sin(np.arange(800) / 9), (700, 800)).astype(np.uint16))
    whole = (slice(0, 700), slice(0, 800))
    job = Job.of(layer, "YX", whole, Choices.of(str(checkpoints["local"]), tile=256))
    view = tuple(slice(start, start + 300) for start in corner)
    plan = job.in_memory().plan()
    looks = list(make_preview(job, view, plan, threading.Event()))
    assert [made.complete for made in looks] == [False] * (steps - 1) + [True]
    assert [made.region == view for made in looks] == [False, True, True][:steps]
    stored = api.part(plan, view)
    np.testing.assert_array_equal(looks[-1].pixels, stored)
    for made in looks:
        top, left = (a - b for a, b in zip(made.origin, corner, strict=True))
        height, width = made.pixels.shape
        inside = stored[top : top + height, left : left + width].astype(float)
        removed = layer.data[made.region].astype(float) - inside
        assert np.abs(made.pixels - inside).mean() < 0.02 * np.abs(removed).mean()


def test_a_preview_of_an_upscaled_part_of_a_stack(checkpoints: dict[str, Path]) -> None:
    layer = Image(np.random.default_rng(0).poisson(100, (2, 400, 3, 500)).astype(np.uint16))
    whole = tuple(slice(0, length) for length in layer.data.shape)
    job = Job.of(layer, "CYZX", whole, Choices.of(str(checkpoints["upscaler"]), tile=256))
    view = (slice(0, 2), slice(40, 340), slice(1, 2), slice(90, 450))
    *looks, last = make_preview(job, view, None, threading.Event())
    assert looks and last.complete and last.pixels.shape == (2, 1, 600, 720)
    for made in looks:
        top, left = (a - b for a, b in zip(made.origin, last.origin, strict=True))
        height, width = made.pixels.shape[-2:]
        inside = last.pixels[..., top : top + height, left : left + width]
        assert np.abs(made.pixels.astype(float) - inside).max() <= 1

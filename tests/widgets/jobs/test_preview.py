from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image

from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.preview import make_preview


@pytest.mark.parametrize("model", ["denoiser", "upscaler"])
def test_a_piece_in_the_middle_comes_first(checkpoints: dict[str, Path], model: str) -> None:
    layer = Image(np.random.default_rng(0).poisson(100, (300, 400)).astype(np.uint16))
    whole = (slice(0, 300), slice(0, 400))
    job = Job.of(layer, "YX", whole, Choices.of(str(checkpoints[model]), tile=128, halo=8))
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


def test_the_first_piece_has_small_tiles_and_the_whole_those_of_the_run(checkpoints: dict[str, Path]) -> None:
    layer = Image(np.random.default_rng(0).poisson(100, (700, 800)).astype(np.uint16))
    whole = (slice(0, 700), slice(0, 800))
    job = Job.of(layer, "YX", whole, Choices.of(str(checkpoints["local"])))
    piece, all_of_it = make_preview(job, (slice(50, 650), slice(100, 700)), None, threading.Event())
    sides = [max(made.plan.grid.tile_shape) for made in (piece, all_of_it)]
    assert sides[0] == piece.plan.card.tile < sides[1]
    assert all_of_it.plan.recipe.tile == job.in_memory().plan().recipe.tile

"""A result whose layer fills in while it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle
from napari import Viewer

from napari_restore.widgets.jobs.run import BlocksStored, Started, restore

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_every_level_fills_in(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    planes = np.random.default_rng(0).poisson(100, (3, 90, 600)).astype(np.uint16)
    viewer.add_image(planes, name="movie", axis_labels=("t", "y", "x"))
    dock = dock_in(viewer, checkpoints["denoiser"])
    to_disk(dock, tmp_path / "o.zarr")
    filled: list[tuple[bool, ...]] = []
    job = dock.job()
    for event in restore(job):
        if isinstance(event, Started):
            levels = event.levels
            assert [level.shape for level in levels] == [(3, 90, 600), (3, 45, 300), (3, 23, 150)]
        if isinstance(event, BlocksStored):
            filled.append(tuple(bool(np.asarray(level[0]).any()) for level in levels))
    assert filled[-1] == (True, True, True) and (True, True, True) in filled[:-1]
    to_disk(dock, tmp_path / "p.zarr")
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: bool(dock.results.layers))
    (layer,) = dock.results.layers
    assert layer.multiscale and len(layer.data) == 3
    until_idle(qtbot, dock)
    assert dock.results.layers == [layer]  # the one that was there from the beginning
    assert layer.thumbnail[..., :3].any()
    for level, expected in zip(layer.data, levels, strict=True):
        np.testing.assert_array_equal(np.asarray(level), np.asarray(expected))

"""Previews that follow the view, and results that fill in, in a real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle
from napari import Viewer
from qtpy.QtWidgets import QPushButton

from napari_restore.engine.compute import predictor
from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.jobs.controller import Landed, Started, restore
from napari_restore.widgets.viewer.shown import PREVIEW

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_live_preview_follows_sliders_and_camera(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    viewer.dims.set_current_step(0, 0)
    click(qtbot, dock.bar.live)
    until_idle(qtbot, dock)
    (preview,) = dock.results.layers
    first = np.asarray(preview.data)
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: preview.translate[0] == 4.0, timeout=20_000)
    assert dock.results.layers == [preview] and not np.array_equal(preview.data, first)
    until_idle(qtbot, dock)
    viewer.scene.camera.zoom = 30
    qtbot.waitUntil(lambda: preview.data.size < first.size, timeout=20_000)
    until_idle(qtbot, dock)
    qtbot.wait(500)  # what a preview changes by itself does not start another one
    assert not dock.works
    click(qtbot, dock.bar.live)
    shape = preview.data.shape
    viewer.scene.camera.zoom = 60
    qtbot.wait(500)
    assert not dock.works and preview.data.shape == shape


def test_a_click_gives_up_the_preview_before(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    click(qtbot, dock.bar.preview)
    first = dock.works["preview"]
    click(qtbot, dock.bar.preview)
    assert first.stopping.is_set() and dock.works["preview"] is not first
    until_idle(qtbot, dock)
    assert [layer.name for layer in dock.results.layers] == [f"{PREVIEW}cells · denoiser"]


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
        if isinstance(event, Landed):
            filled.append(tuple(bool(np.asarray(level[0]).any()) for level in levels))
    assert filled[-1] == (True, True, True) and (True, True, True) in filled[:-1]
    to_disk(dock, tmp_path / "p.zarr")
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: bool(dock.results.layers), timeout=60_000)
    (layer,) = dock.results.layers
    assert layer.multiscale and len(layer.data) == 3
    until_idle(qtbot, dock)
    assert dock.results.layers == [layer]  # the one that was there from the beginning
    assert layer.thumbnail[..., :3].any()
    for level, expected in zip(layer.data, levels, strict=True):
        np.testing.assert_array_equal(np.asarray(level), np.asarray(expected))


def test_the_activity_docks_button_cancels(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    planes = np.random.default_rng(0).poisson(100, (40, 120, 160)).astype(np.uint16)
    viewer.add_image(planes, name="long")
    dock = dock_in(viewer, checkpoints["denoiser"])
    to_disk(dock, tmp_path / "o.zarr")
    click(qtbot, dock.bar.run)
    window = dock.window()
    assert window is not None
    qtbot.waitUntil(lambda: dock.bar.bar.maximum() > 0 and dock.bar.bar.value() > 0, timeout=60_000)
    assert dock.activity.n > 0 and dock.activity.total == dock.bar.bar.maximum()
    buttons = [b for b in window.findChildren(QPushButton) if b.text() == "Cancel" and b is not dock.bar.run]
    assert len(buttons) == 1
    buttons[0].click()
    assert dock.bar.run.text() == "Cancelling…"
    until_idle(qtbot, dock)
    assert dock.bar.line.text().startswith("Cancelled") and dock.activity is None


def test_models_are_released_after_the_last_run(
    qtbot: Any, viewer: Viewer, dock: RestoreDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[bool] = []
    release = predictor.release_predictors
    monkeypatch.setattr(predictor, "release_predictors", lambda: (released.append(True), release()))
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    assert not released  # the next preview has its model
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert released

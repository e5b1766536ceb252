"""The lines on top of a dock widget: whether the model fits, a button that helps, and what a run will change."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle, until_preflight
from napari import Viewer
from qtpy.QtCore import Qt

from napari_restore import api
from napari_restore.widgets.dock import RestoreDock, SuperResolutionDock


def noisy(sigma: float, low: float = 500, high: float = 1500) -> np.ndarray:
    """Smooth stripes with Gaussian noise of a standard deviation in data units."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :160]
    stripes = low + (high - low) * np.sin(x / 17) ** 2 * np.cos(y / 23) ** 2
    return np.clip(stripes + rng.normal(0, sigma, stripes.shape), 0, 65535).astype(np.uint16)


def test_a_model_that_fits_says_so_with_what_will_change(qtbot: Any, viewer: Viewer, tmp_path: Path) -> None:
    viewer.add_image(np.stack([noisy(60), noisy(90)]), name="cells", axis_labels=("c", "y", "x"))
    dock = dock_in(viewer)
    until_preflight(qtbot, dock)
    assert dock.verdict.verdict.text().startswith("✓ Fits: ") and "made for 0.8–28 %" in dock.verdict.verdict.text()
    assert dock.verdict.button.isHidden() and dock.verdict.advice.isHidden()
    line = dock.verdict.change.text()
    assert line.startswith("Will change: 2 channels × 1 plane, 102.4 kB → memory, about ") and line.endswith("on cpu.")
    to_disk(dock, tmp_path / "o.zarr")
    until_preflight(qtbot, dock)
    assert " → OME-Zarr, about " in dock.verdict.change.text()


def test_hardly_any_noise_is_said_and_the_button_follows_the_advice(qtbot: Any, viewer: Viewer) -> None:
    viewer.add_image(noisy(40), name="cells")
    dock = dock_in(viewer)
    until_preflight(qtbot, dock)
    qtbot.keyClicks(dock.output.low, "0")
    qtbot.keyClicks(dock.output.high, "60000")
    qtbot.keyClick(dock.output.high, Qt.Key.Key_Return)
    until_preflight(qtbot, dock)
    assert dock.verdict.verdict.text().startswith("⚠ Hardly any noise (0.0")
    assert dock.verdict.button.text().startswith("Use the range ")
    click(qtbot, dock.verdict.button)
    until_preflight(qtbot, dock)
    assert dock.verdict.verdict.text().startswith("✓ Fits: ")
    assert 100 < float(dock.output.low.text()) < 500 < 1400 < float(dock.output.high.text()) < 2500


def test_noise_before_super_resolution_is_removed_by_one_click(qtbot: Any, viewer: Viewer) -> None:
    viewer.add_image(noisy(80), name="cells")
    dock = dock_in(viewer, kind=SuperResolutionDock)
    until_preflight(qtbot, dock)
    assert "which super-resolution keeps or sharpens" in dock.verdict.verdict.text()
    assert dock.verdict.button.text() == "Denoise first"
    assert "denoise first, in the same run." in dock.verdict.advice.text() and dock.verdict.advice.isVisible()
    click(qtbot, dock.verdict.button)
    until_preflight(qtbot, dock)
    assert dock.preflight is not None and dock.preflight.plan.recipe.denoise == api.DENOISER
    assert dock.verdict.verdict.text().startswith("✓ Fits: ")


def test_the_time_of_a_run_is_that_of_the_next(qtbot: Any, dock: RestoreDock, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_restore.engine.compute import speed

    monkeypatch.setattr(speed, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(speed, "_LEAST_BATCHES", 1)
    dock.performance.tile.setValue(64)
    until_preflight(qtbot, dock)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.preflight is not None
    seconds = speed.remembered_tile_seconds(dock.preflight.plan)
    assert seconds is not None
    monkeypatch.setattr("napari_restore.engine.compute.estimate.tile_seconds", lambda plan: 1 / 0)
    dock.controller.start_preflight()
    until_preflight(qtbot, dock)
    assert dock.preflight.report.seconds == pytest.approx(seconds * dock.preflight.plan.tiles)


def test_the_verdict_does_not_wait_for_the_time(qtbot: Any, viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a large layer on a slow computer, the speed of the network takes a minute to measure."""
    measured = threading.Event()

    def slow(plan: object, stop: object) -> float:
        assert measured.wait(60)
        return 0.5

    monkeypatch.setattr("napari_restore.engine.compute.estimate.remembered_tile_seconds", lambda plan: None)
    monkeypatch.setattr("napari_restore.engine.compute.estimate.tile_seconds", slow)
    viewer.add_image(noisy(80), name="cells")
    dock = dock_in(viewer)
    qtbot.waitUntil(lambda: dock.verdict.verdict.text().startswith("✓ Fits: "), timeout=30_000)
    assert dock.verdict.change.text().endswith(", time not known yet.") and dock.bar.run.isEnabled()
    assert dock.looking.line.text() == "Measuring the speed of the network…"
    measured.set()
    until_preflight(qtbot, dock)
    assert " about " in dock.verdict.change.text()


def test_best_models_come_first_and_the_list_is_searched_by_keys(qtbot: Any, viewer: Viewer) -> None:
    viewer.add_image(noisy(80), name="cells")
    dock = dock_in(viewer)
    until_preflight(qtbot, dock)
    models = dock.model.models
    names = [models.itemText(i) for i in range(5)]
    assert names[:3] == ["Best for this layer", "restormer-denoise-light", "swinir-denoise-light"]
    assert models.currentText() == api.DENOISER
    models.showPopup()
    popup = models._search
    assert popup is not None and popup.isVisible()
    qtbot.keyClicks(popup.field, "swinir gray 25")
    shown = [popup.list.model().index(row, 0).data() for row in range(popup.list.model().rowCount())]
    assert shown == ["SwinIR", "swinir-gray-denoise-25"]
    qtbot.keyClick(popup.field, Qt.Key.Key_Return)
    assert models.currentText() == "swinir-gray-denoise-25" and not popup.isVisible()
    models.showPopup()
    popup = models._search
    qtbot.keyClicks(popup.field, "rain")
    assert popup.list.model().index(0, 0).data() == "Other"
    qtbot.keyClick(popup.field, Qt.Key.Key_Escape)
    assert models.currentText() == "swinir-gray-denoise-25"


def test_an_rgb_layer_is_advised_a_model_for_rgb(qtbot: Any, viewer: Viewer) -> None:
    viewer.add_image(np.stack([noisy(80) // 8] * 3, axis=-1).astype(np.uint8), name="stained", rgb=True)
    dock = dock_in(viewer)
    until_preflight(qtbot, dock)
    assert dock.model.models.itemText(1) == "restormer-denoise-rgb-light" == dock.model.model()


def test_the_card_shows_scores_and_a_sample(qtbot: Any, viewer: Viewer) -> None:
    dock = dock_in(viewer)
    dock.model.models.setCurrentText("swinir-denoise-light")
    click(qtbot, dock.model.about)
    card = dock.model.window_of_card
    assert card.isVisible() and "swinir-denoise-light" in card.text.text() and "fmd" in card.text.text()
    assert not card.pictures.isVisible()
    click(qtbot, card.make)
    until_idle(qtbot, dock)
    assert card.pictures.isVisible() and " dB PSNR)" in card.captions[1].text()
    before, after = card.before.pixmap(), card.after.pixmap()
    assert before.size() == after.size() and before.toImage() != after.toImage()
    card.close()
    click(qtbot, dock.model.about)  # from the cache
    assert card.pictures.isVisible() and "sample" not in dock.works
    card.close()

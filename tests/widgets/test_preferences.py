from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import napari.settings
import numpy as np
import pytest
from docks import dock_in
from napari import Viewer

from napari_restore.models.fetch import models_folder
from napari_restore.widgets.preferences import Preferences, preferences


@pytest.fixture
def settings() -> Iterator[Any]:
    """The plugin's settings, as they were found."""
    settings = napari.settings.get_plugin_settings("napari-restore")
    assert "napari-restore-" in str(settings.config_path)  # those of the tests
    yield settings
    settings.reset()


def test_docks_begin_with_the_preferences(viewer: Viewer, settings: Any, tmp_path: Path) -> None:
    assert preferences() == Preferences()
    settings.running.device = "cpu"
    settings.running.memory_budget = 2.5
    settings.files.output_folder = str(tmp_path)
    viewer.add_image(np.zeros((20, 30), np.uint8), name="my cells")
    dock = dock_in(viewer)
    assert dock.performance.device.currentData() == "cpu" and dock.performance.memory_budget() == 2_500_000_000
    dock.output.place.setCurrentIndex(1)
    assert dock.output.output() == str(tmp_path / "my_cells-restormer-denoise-light.zarr")
    dock.output.path.setText("other")
    assert dock.output.output() == str(tmp_path / "other.zarr")


def test_preferences_that_change_are_taken(viewer: Viewer, settings: Any, tmp_path: Path) -> None:
    dock = dock_in(viewer)
    dock.performance.tile.setValue(64)
    settings.running.device = "cpu"
    assert dock.performance.device.currentData() == "cpu" and dock.performance.tile.value() == 64
    dock.model.models.setCurrentText("swinir-gray-denoise-15")
    settings.files.cache_folder = str(tmp_path)
    assert models_folder() == tmp_path
    (tmp_path / "004_grayDN_DFWB_s128w8_SwinIR-M_noise15.pth").write_bytes(b"weights")
    dock.model.show_state()
    assert "Downloaded" in dock.model.description.text()
    settings.files.cache_folder = ""
    assert "NAPARI_RESTORE_MODELS" not in os.environ and "Will download" in dock.model.description.text()
    dock.end()
    settings.running.device = "auto"
    assert dock.performance.device.currentData() == "cpu"


def test_the_environment_goes_before_the_preferences(
    viewer: Viewer, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_RESTORE_MODELS", str(tmp_path / "mine"))
    settings.files.cache_folder = str(tmp_path / "other")
    dock_in(viewer)
    assert models_folder() == tmp_path / "mine"


def test_a_napari_without_preferences_has_the_defaults(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(napari.settings, "get_plugin_settings")
    assert preferences() == Preferences()
    dock = dock_in(viewer)
    assert dock.performance.device.currentData() == "auto" and dock.performance.memory_budget() is None


def test_a_device_that_is_not_there_is_told_of(qtbot: Any, viewer: Viewer, settings: Any, stack: np.ndarray) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    settings.running.device = "cuda"
    viewer.add_image(stack, name="cells")
    dock = dock_in(viewer)
    qtbot.waitUntil(lambda: "'cuda' is not on this machine" in dock.output.cost.text())

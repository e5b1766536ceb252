"""One run restores several layers, one after another, with the same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle
from napari import Viewer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QMenu

from napari_restore import api
from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.jobs.layers.image_layers import full_resolution

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_MARK = 12
"""Pixels from the left edge of a row to the middle of its check mark."""


@pytest.fixture
def three(viewer: Viewer, checkpoints: dict[str, Path]) -> RestoreDock:
    """Three channels of one image, and a stack, which is of another kind."""
    rng = np.random.default_rng(0)
    viewer.add_image(rng.poisson(100, (2, 30, 40)).astype(np.uint16), name="stack")
    for name in ("red", "green", "blue"):
        viewer.add_image(rng.poisson(100, (75, 110)).astype(np.uint16), name=name)
    return dock_in(viewer, checkpoints["denoiser"])


def tick(qtbot: Any, dock: RestoreDock, name: str) -> None:
    """Tick or untick a layer by a click on its mark, at the left edge of the row."""
    box = dock.input.several.list
    (item,) = box.findItems(name, Qt.MatchFlag.MatchExactly)
    row = box.visualItemRect(item)
    place = QPoint(row.left() + _MARK, row.center().y())
    qtbot.mouseClick(box.viewport(), Qt.MouseButton.LeftButton, pos=place)


def choose(menu: QMenu, title: str) -> None:
    (action,) = (each for each in menu.actions() if each.text() == title)
    action.trigger()


def test_one_run_restores_all_ticked_layers(qtbot: Any, viewer: Viewer, three: RestoreDock, tmp_path: Path) -> None:
    dock = three
    button = dock.input.several.button
    assert button.text() == "1 of 3 layers"  # not the stack, which has another axis
    click(qtbot, button)
    tick(qtbot, dock, "red")
    assert button.text() == "2 of 3 layers"
    to_disk(dock, tmp_path / "blue-restored.zarr")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done: 2 of 2 layers."
    results = [layer.name for layer in viewer.layers if "▸" in layer.name]
    assert sorted(results) == ["blue ▸ denoiser", "red ▸ denoiser"]
    assert sorted(path.name for path in tmp_path.glob("*.zarr")) == ["blue-restored.zarr", "red-restored.zarr"]
    for name in ("blue", "red"):
        expected = api.denoise(viewer.layers[name].data, model=dock.model.model(), tile=96, halo=8)
        layer = viewer.layers[f"{name} ▸ denoiser"]
        np.testing.assert_array_equal(np.asarray(full_resolution(layer)), expected)


def test_the_same_is_applied_to_the_others(qtbot: Any, viewer: Viewer, three: RestoreDock) -> None:
    dock = three
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    choose(dock.bar.menu, "Apply the same to…")
    assert dock.input.several.list.isVisible() and dock.input.several.button.text() == "2 of 3 layers"
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done: 2 of 2 layers."
    assert {f"{name} ▸ denoiser" for name in ("red", "green", "blue")} <= {layer.name for layer in viewer.layers}


def test_cancel_ends_the_whole_run_and_none_is_said(qtbot: Any, viewer: Viewer, three: RestoreDock) -> None:
    dock = three
    choose(dock.bar.menu, "Apply the same to…")
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: dock.bar.state == "running")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Cancelled; not started: 1 layer."
    click(qtbot, dock.input.several.button)
    click(qtbot, dock.input.several.button)
    for name in ("red", "green"):
        tick(qtbot, dock, name)
    assert dock.input.several.button.text() == "0 of 3 layers"
    click(qtbot, dock.bar.run)
    assert "no layer is ticked" in dock.bar.line.text()

from __future__ import annotations

from typing import Any

import numpy as np
from docks import click, until_preflight
from napari import Viewer

from napari_restore.widgets.dock import RestoreDock


def test_follows_layers(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    other = viewer.add_image(np.zeros((40, 50, 3), np.uint8), name="colour")
    assert dock.input.layer() is other and dock.input.axes.text() == "YXS"
    other.name = "renamed"
    assert dock.input.layers.currentText() == "renamed"
    viewer.layers.selection.active = viewer.layers["cells"]
    assert dock.input.layers.currentText() == "cells" and dock.input.axes.text() == "ZYX"
    dock.input.layers.setCurrentIndex(1)
    viewer.layers.remove(other)
    assert dock.input.layers.count() == 1 and dock.input.layers.currentText() == "cells"
    viewer.layers.clear()
    assert "Open Sample" in dock.input.description.text()
    click(qtbot, dock.bar.run)
    assert "no image layer" in dock.bar.line.text()


def choose_region(dock: RestoreDock, kind: str) -> None:
    dock.input.regions.setCurrentIndex(dock.input.regions.findData(kind))


def test_regions(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    viewer.dims.set_current_step(0, 1)
    choose_region(dock, "planes")
    assert dock.input.extent.text() == "Z 1 · Y 0–74 · X 0–109"
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: dock.input.extent.text().startswith("Z 2"))
    choose_region(dock, "rectangle")
    assert dock.input.extent.text().startswith("⚠ there is no rectangle")
    shapes = viewer.add_shapes([np.array([[5, 5], [5, 30], [20, 30], [20, 5]])], shape_type="rectangle")
    qtbot.waitUntil(lambda: dock.input.extent.text() == "Z 0–2 · Y 10–40 · X 10–60")
    shapes.data = [np.array([[5, 5], [5, 10], [20, 10], [20, 5]])]
    qtbot.waitUntil(lambda: dock.input.extent.text() == "Z 0–2 · Y 10–40 · X 10–20")
    until_preflight(qtbot, dock)
    assert dock.preflight is not None and dock.preflight.plan.shape == (3, 31, 11)
    choose_region(dock, "view")
    before = dock.input.extent.text()
    viewer.scene.camera.zoom *= 4
    qtbot.waitUntil(lambda: dock.input.extent.text() != before)
    until_preflight(qtbot, dock)
    assert dock.preflight is not None and dock.preflight.plan.shape[0] == 1 and dock.preflight.plan.shape[2] < 110
    choose_region(dock, "whole")
    assert dock.input.extent.isHidden()


def test_axes_are_checked_as_typed(qtbot: Any, dock: RestoreDock) -> None:
    dock.input.axes.clear()
    qtbot.keyClicks(dock.input.axes, "ZX")
    assert dock.input.description.text().startswith("⚠") and "ZX" in dock.input.description.text()
    click(qtbot, dock.bar.run)
    assert dock.bar.line.text().startswith("⚠") and dock.bar.state == "idle"
    dock.input.axes.clear()
    qtbot.keyClicks(dock.input.axes, "tyx")
    assert dock.input.description.text().startswith("T 3")

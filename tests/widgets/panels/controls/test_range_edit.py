from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from docks import click, dock_in, until_preflight
from napari import Viewer
from qtpy.QtCore import Qt

from napari_restore.widgets.dock import RestoreDock


def test_a_range_is_that_of_the_run(qtbot: Any, dock: RestoreDock) -> None:
    until_preflight(qtbot, dock)
    assert dock.preflight is not None
    ((low, high),) = dock.preflight.plan.recipe.value_range
    assert (dock.output.low.placeholderText(), dock.output.high.placeholderText()) == (f"{low:g}", f"{high:g}")
    qtbot.keyClicks(dock.output.low, "100.25")
    qtbot.keyClicks(dock.output.high, "90")
    qtbot.keyClick(dock.output.high, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "100.25..90" in dock.output.cost.text())
    qtbot.keyClicks(dock.output.high, "0.5")
    qtbot.keyClick(dock.output.high, Qt.Key.Key_Return)
    until_preflight(qtbot, dock)
    assert dock.preflight.plan.recipe.value_range == ((100.25, 900.5),)
    click(qtbot, dock.output.range.reset)
    assert dock.choices().recipe.value_range is None


def test_a_range_for_each_channel(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    pixels = np.random.default_rng(0).poisson((100, 1000), (40, 48, 2)).astype(np.uint16).transpose(2, 0, 1)
    viewer.add_image(pixels, name="two", axis_labels=("c", "y", "x"))
    dock = dock_in(viewer, checkpoints["denoiser"])
    until_preflight(qtbot, dock)
    edit = dock.output.range
    assert not edit.channel.isHidden() and edit.low.placeholderText() == "per channel"
    edit.channel.setCurrentIndex(2)
    qtbot.keyClicks(edit.low, "800")
    qtbot.keyClicks(edit.high, "1200")
    qtbot.keyClick(edit.high, Qt.Key.Key_Return)
    assert dock.preflight is None
    until_preflight(qtbot, dock)
    assert dock.preflight is not None
    first, second = dock.preflight.plan.recipe.value_range
    assert second == (800, 1200) and first[1] < 800
    # One range that is given for all stands in for the channels without one.
    edit.channel.setCurrentIndex(0)
    qtbot.keyClicks(edit.low, "1")
    qtbot.keyClicks(edit.high, "2")
    assert dock.choices().recipe.value_range == ((1.0, 2.0), (800.0, 1200.0))
    viewer.layers.clear()
    assert edit.channel.isHidden()

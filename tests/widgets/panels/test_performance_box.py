from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle, until_preflight
from napari import Viewer
from qtpy.QtCore import Qt

from napari_restore import api
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.images.writing import ome_zarr
from napari_restore.widgets.dock import RestoreDock


def test_output_and_performance_are_those_of_the_run(qtbot: Any, dock: RestoreDock, tmp_path: Path) -> None:
    to_disk(dock, tmp_path / "o")
    dock.output.dtype.setCurrentText("float32")
    click(qtbot, dock.output.pyramid)
    click(qtbot, dock.performance.toggleButton())
    assert dock.performance.isExpanded()
    dock.performance.device.setCurrentIndex(dock.performance.device.findData("cpu"))
    dock.performance.precision.setCurrentText("bfloat16")
    for spin, text in ((dock.performance.tile, "128"), (dock.performance.halo, "16")):
        spin.selectAll()
        qtbot.keyClicks(spin, text)
        qtbot.keyClick(spin, Qt.Key.Key_Return)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done."
    attributes = ome_zarr.read_attributes(tmp_path / "o.zarr")
    assert attributes is not None
    wanted = {"dtype": "float32", "pyramid": False, "device": "cpu", "precision": "bfloat16", "tile": 128, "halo": 16}
    assert {name: attributes["recipe"][name] for name in wanted} == wanted
    dock.output.dtype.setCurrentText("uint8")
    until_preflight(qtbot, dock)
    assert dock.output.cost.text().startswith("⚠")  # another recipe is there
    click(qtbot, dock.output.overwrite)
    until_preflight(qtbot, dock)
    assert not dock.output.cost.text().startswith("⚠")


def test_auto_says_what_it_stands_for(qtbot: Any, viewer: Viewer, stack: np.ndarray) -> None:
    viewer.add_image(stack, name="cells")
    dock = dock_in(viewer)
    until_preflight(qtbot, dock)
    performance = dock.performance
    assert dock.preflight is not None
    assert performance.tile.text() == f"auto ({dock.preflight.plan.recipe.tile})"
    assert performance.halo.text() == "auto (16)" and performance.device.currentText().startswith("auto (")
    assert performance.precision.currentText() in ("auto (float32)", "auto (bfloat16)")
    assert {performance.device.itemData(i) for i in range(performance.device.count())} >= {"auto", *api.devices()}
    assert dock.choices().settings() == {}


@pytest.mark.skipif("memory_budget" not in Recipe.model_fields, reason="the engine takes no memory budget")
def test_a_memory_budget_is_that_of_the_run(qtbot: Any, dock: RestoreDock) -> None:
    dock.performance.memory.setValue(1.5)
    until_preflight(qtbot, dock)
    assert dock.preflight is not None and getattr(dock.preflight.plan.recipe, "memory_budget", None) == 1_500_000_000

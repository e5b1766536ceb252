"""Small things that a person stumbles over: each by the control that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from docks import click, dock_in, to_disk, until_idle, until_no_wipe, until_preflight
from napari import Viewer
from qtpy.QtCore import QPoint, Qt

from napari_restore import api
from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.viewer.compare.wipe import LINE


def tick(qtbot: Any, box: Any) -> None:
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))


def retype(qtbot: Any, edit: Any, text: str) -> None:
    edit.setFocus()
    edit.selectAll()
    qtbot.keyClicks(edit, text)
    qtbot.keyClick(edit, Qt.Key.Key_Return)


def test_the_pixel_size_of_an_ome_tiff_comes_from_the_file(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.5}
    units = dict.fromkeys(("PhysicalSizeXUnit", "PhysicalSizeYUnit", "PhysicalSizeZUnit"), "µm")
    tifffile.imwrite(tmp_path / "cells.ome.tif", stack, metadata={"axes": "ZYX", **sizes, **units}, ome=True)
    viewer.open(tmp_path / "cells.ome.tif", plugin="napari")
    (layer,) = viewer.layers
    dock = dock_in(viewer, checkpoints["denoiser"])
    said = dock.input.description.text()
    unscaled = np.allclose(layer.scale, 1)
    assert ("pixel size of the file: Z 0.5 micrometer, Y 0.2 micrometer, X 0.1 micrometer" in said) == unscaled
    to_disk(dock, tmp_path / "o.zarr")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    result = api.open_image(tmp_path / "o.zarr")
    assert result.pixel_size == {"Z": 0.5, "Y": 0.2, "X": 0.1} and set(result.units.values()) == {"micrometer"}
    layer.scale = (3, 2, 2)  # the scale of the user comes first
    layer.name = "scaled"
    dock.input.axes.textEdited.emit("ZYX")
    assert "of the file" not in dock.input.description.text()
    assert dock.job().image.pixel_size == {"Z": 3, "Y": 2, "X": 2}


def test_a_complete_output_is_said_to_be_complete_and_replace_is_for_one_run(
    qtbot: Any, dock: RestoreDock, tmp_path: Path
) -> None:
    to_disk(dock, tmp_path / "o.zarr")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    qtbot.waitUntil(lambda: "The result is complete" in dock.output.cost.text())
    assert "resumed" not in dock.output.cost.text() and dock.bar.run.text() == "Run"
    tick(qtbot, dock.output.overwrite)
    assert dock.output.overwrite.isChecked()
    until_preflight(qtbot, dock)
    assert "complete" not in dock.output.cost.text()
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert not dock.output.overwrite.isChecked()
    qtbot.waitUntil(lambda: "The result is complete" in dock.output.cost.text())
    tick(qtbot, dock.output.overwrite)
    retype(qtbot, dock.output.path, str(tmp_path / "other.zarr"))
    assert not dock.output.overwrite.isChecked() and not dock.choices().overwrite


def test_a_range_belongs_to_the_layer_that_it_was_typed_for(
    qtbot: Any, viewer: Viewer, dock: RestoreDock, stack: np.ndarray
) -> None:
    until_preflight(qtbot, dock)
    retype(qtbot, dock.output.low, "10")
    retype(qtbot, dock.output.high, "900")
    assert dock.choices().recipe.value_range == ((10.0, 900.0),)
    viewer.add_image(stack.astype(np.float32) / 5000, name="other")
    assert dock.input.layers.currentText() == "other" and dock.choices().recipe.value_range is None
    assert dock.output.low.placeholderText() == ""  # the estimate of "cells" is not that of "other"
    until_preflight(qtbot, dock)
    assert 0 <= float(dock.output.high.placeholderText()) < 10
    viewer.layers.selection.active = viewer.layers["cells"]
    assert dock.choices().recipe.value_range == ((10.0, 900.0),)


def test_the_name_of_another_format_is_refused(qtbot: Any, dock: RestoreDock, tmp_path: Path) -> None:
    to_disk(dock, tmp_path / "o.zarr")
    for name in ("x.tif", "x.TIFF", "x.png", "x.ozx"):
        retype(qtbot, dock.output.path, str(tmp_path / name))
        qtbot.waitUntil(lambda name=name: f"{name} has the ending of another format" in dock.output.cost.text())
        click(qtbot, dock.bar.run)
        assert dock.bar.state == "idle" and dock.bar.line.text() == "⚠ Not possible: see ⚠ above."
    assert not list(tmp_path.iterdir())
    retype(qtbot, dock.output.path, str(tmp_path / "x"))
    assert dock.choices().output == str(tmp_path / "x.zarr")


def test_a_preview_in_3d_says_what_it_shows(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    until_preflight(qtbot, dock)
    viewer.dims.ndisplay = 3
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    line = dock.bar.line.text()
    assert line.startswith("Preview: ") and line.endswith("of the 3-D view, the plane of the sliders alone")
    viewer.dims.ndisplay = 2
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    assert "3-D" not in dock.bar.line.text()


def test_the_grid_of_napari_ends_the_wipe_and_the_wipe_ends_the_grid(
    qtbot: Any, viewer: Viewer, dock: RestoreDock
) -> None:
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: LINE in viewer.layers)
    click(qtbot, viewer.window._qt_viewer.viewerButtons.gridViewButton)
    assert viewer.canvas.grid.enabled
    until_no_wipe(qtbot, viewer)
    assert "wipe has ended" in dock.bar.line.text() and len(viewer.layers) == 2
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: LINE in viewer.layers)
    assert not viewer.canvas.grid.enabled
    # The grid of the dock widget does so, too, and gives back what was seen before the wipe.
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    click(qtbot, dock.compare.grid)
    until_no_wipe(qtbot, viewer)
    assert all(layer.visible for layer in viewer.layers) and dock.compare.wipe.value() == 0
    click(qtbot, dock.compare.grid)
    assert [layer.name for layer in viewer.layers if layer.visible] == ["cells ▸ denoiser"]

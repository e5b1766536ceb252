"""Comparing in a real window: by the controls, by the key and by the mouse on the canvas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canvas import all_in_view, canvas_of, drag, on_canvas
from docks import click, dock_in, until_idle, until_no_wipe
from napari import Viewer
from qtpy.QtCore import Qt

from napari_restore.widgets.dock import RestoreDock, SuperResolutionDock
from napari_restore.widgets.viewer.compare.compare_tools import HOLD_KEY
from napari_restore.widgets.viewer.compare.difference import DIFFERENCE
from napari_restore.widgets.viewer.compare.wipe import LINE, WIPE

# A window of napari that is closed leaves timers and sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def compared(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> RestoreDock:
    """A dock widget whose run is done."""
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    viewer.dims.set_current_step(0, 1)
    all_in_view(qtbot, viewer)
    return dock


def wipe_half(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    qtbot.wait(50)


def test_nothing_to_compare_before_a_run(dock: RestoreDock) -> None:
    assert not dock.compare.isEnabled()


def test_the_button_is_held(qtbot: Any, viewer: Viewer, compared: RestoreDock) -> None:
    result, source = viewer.layers["cells ▸ denoiser"], viewer.layers["cells"]
    assert result.visible and not source.visible
    qtbot.mousePress(compared.compare.hold, Qt.MouseButton.LeftButton)
    assert source.visible and not result.visible
    qtbot.mouseRelease(compared.compare.hold, Qt.MouseButton.LeftButton)
    assert result.visible and not source.visible


def test_the_key_is_held_on_the_canvas(qtbot: Any, viewer: Viewer, compared: RestoreDock) -> None:
    result, source, canvas = viewer.layers["cells ▸ denoiser"], viewer.layers["cells"], canvas_of(compared)
    assert f"({HOLD_KEY})" in compared.compare.hold.text()
    qtbot.keyPress(canvas, HOLD_KEY)
    assert source.visible and not result.visible
    qtbot.keyRelease(canvas, HOLD_KEY)
    assert result.visible and not source.visible
    viewer.window.remove_dock_widget(compared.parent())
    compared.close()
    qtbot.keyPress(canvas, HOLD_KEY)
    assert result.visible and not source.visible
    qtbot.keyRelease(canvas, HOLD_KEY)


def test_the_line_is_dragged_by_the_mouse(qtbot: Any, viewer: Viewer, compared: RestoreDock) -> None:
    result = viewer.layers["cells ▸ denoiser"]
    wipe_half(qtbot, viewer, compared)
    wiped, line = viewer.layers[WIPE], viewer.layers[LINE]
    assert not result.visible and viewer.layers.selection.active is not line
    before, after = viewer.layers["cells"].data[1], result.data[1]
    height, width = after.shape
    np.testing.assert_array_equal(wiped.data[0, :, : width // 2], before[:, : width // 2])
    np.testing.assert_array_equal(wiped.data[0, :, width // 2 :], after[:, width // 2 :])
    centre, canvas = viewer.scene.camera.center, canvas_of(compared)
    start, stop = (on_canvas(viewer, line, (0, height / 2, x - 0.5)) for x in (width / 2, width / 4))
    drag(qtbot, canvas, start, stop)
    column = round(width * compared.tools.wipe.fraction)
    assert abs(column - width / 4) <= 1 and abs(compared.compare.wipe.value() - 25) <= 1
    wiped, line = viewer.layers[WIPE], viewer.layers[LINE]  # others, if the view came to rest only now
    np.testing.assert_array_equal(wiped.data[0, :, :column], before[:, :column])
    np.testing.assert_array_equal(wiped.data[0, :, column:], after[:, column:])
    assert viewer.scene.camera.center == centre  # the picture has not moved with it
    drag(qtbot, canvas, on_canvas(viewer, line, (0, height / 2, width * 0.9)), stop)
    assert round(width * compared.tools.wipe.fraction) == column and viewer.scene.camera.center != centre
    compared.compare.wipe.setValue(0)
    assert result.visible
    until_no_wipe(qtbot, viewer)


def test_the_wipe_follows_the_sliders(qtbot: Any, viewer: Viewer, compared: RestoreDock) -> None:
    wipe_half(qtbot, viewer, compared)
    viewer.dims.set_current_step(0, 2)
    after = viewer.layers["cells ▸ denoiser"].data[2]
    qtbot.waitUntil(lambda: np.array_equal(viewer.layers[WIPE].data[0, :, 60:], after[:, 60:]))
    qtbot.waitUntil(lambda: not compared.works)


def test_difference_and_grid(qtbot: Any, viewer: Viewer, compared: RestoreDock) -> None:
    source, result = viewer.layers["cells"], viewer.layers["cells ▸ denoiser"]
    click(qtbot, compared.compare.difference)
    qtbot.waitUntil(lambda: f"{DIFFERENCE}cells ▸ denoiser" in viewer.layers)
    expected = source.data[1].astype(np.float32) - result.data[1]
    np.testing.assert_array_equal(viewer.layers[f"{DIFFERENCE}cells ▸ denoiser"].data[0], expected)
    click(qtbot, compared.compare.grid)
    grid = viewer.canvas.grid
    assert (
        grid.enabled
        and source.visible
        and result.visible
        and not viewer.layers[f"{DIFFERENCE}cells ▸ denoiser"].visible
    )
    places = [grid.position(viewer.layers.index(layer), viewer.layers) for layer in (source, result)]
    assert places[0][0] == places[1][0] and places[0] != places[1]
    click(qtbot, compared.compare.grid)
    assert not grid.enabled and not source.visible and viewer.layers[f"{DIFFERENCE}cells ▸ denoiser"].visible


def test_figures_against_a_chosen_reference(qtbot: Any, viewer: Viewer, compared: RestoreDock) -> None:
    click(qtbot, compared.compare.measure)
    qtbot.waitUntil(lambda: "Whiteness" in compared.compare.figures.text())
    text = compared.compare.figures.text()
    assert "Structure" in text and "Seams" in text and "PSNR" not in text  # 110 pixels are two tiles of 96
    viewer.add_image(np.asarray(viewer.layers["cells"].data) * 2.0, name="mine", scale=(2.0, 0.5, 0.5), visible=False)
    compared.compare.references.setCurrentText("mine")
    click(qtbot, compared.compare.measure)
    qtbot.waitUntil(lambda: "PSNR" in compared.compare.figures.text())
    viewer.add_image(np.zeros((3, 20, 20)), name="other", visible=False)
    compared.compare.references.setCurrentText("other")
    click(qtbot, compared.compare.measure)
    qtbot.waitUntil(lambda: "other does not cover" in compared.bar.line.text())


def test_all_channels_together(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).integers(0, 999, (2, 40, 50)).astype(np.uint16)
    viewer.add_image(image, name="two", axis_labels=("c", "y", "x"))
    dock = dock_in(viewer, checkpoints["upscaler"], SuperResolutionDock)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    all_in_view(qtbot, viewer)
    results = dock.results.layers
    assert len(results) == 2 and all(layer.blending == "additive" for layer in results)
    wipe_half(qtbot, viewer, dock)
    for channel, result in enumerate(results):
        wiped = viewer.layers[f"{WIPE} · {channel}"]
        assert wiped.colormap.name == result.colormap.name and not result.visible
        np.testing.assert_array_equal(wiped.data[:, :50], image[channel].repeat(2, 0).repeat(2, 1)[:, :50])
        np.testing.assert_array_equal(wiped.data[:, 50:], result.data[:, 50:])
    dock.compare.wipe.setValue(0)
    assert all(layer.visible for layer in results)
    qtbot.mousePress(dock.compare.hold, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.tools.wipe.active)
    np.testing.assert_array_equal(viewer.layers[f"{WIPE} · 1"].data, image[1].repeat(2, 0).repeat(2, 1))
    qtbot.mouseRelease(dock.compare.hold, Qt.MouseButton.LeftButton)
    assert all(layer.visible for layer in results) and not dock.tools.wipe.active
    click(qtbot, dock.compare.difference)
    qtbot.waitUntil(lambda: f"{DIFFERENCE}two ▸ upscaler · 1" in viewer.layers)


def test_colour(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    viewer.add_image(image, name="colour", rgb=True)
    dock = dock_in(viewer, checkpoints["colour_denoiser"])
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    all_in_view(qtbot, viewer)
    (result,) = dock.results.layers
    wipe_half(qtbot, viewer, dock)
    wiped = viewer.layers[WIPE]
    assert result.rgb and wiped.rgb and wiped.data.dtype == np.uint8
    np.testing.assert_array_equal(wiped.data[:, :30], image[:, :30])
    np.testing.assert_array_equal(wiped.data[:, 30:], result.data[:, 30:])
    click(qtbot, dock.compare.measure)
    qtbot.waitUntil(lambda: "Whiteness" in dock.compare.figures.text())

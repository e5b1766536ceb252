"""One pair of source and result, shown by name: Before, wipe, grid, difference and figures are all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canvas import all_in_view, canvas_of
from docks import click, dock_in, until_idle, until_no_wipe
from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QComboBox

from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.viewer.compare.compare_tools import HOLD_KEY
from napari_restore.widgets.viewer.compare.difference import DIFFERENCE
from napari_restore.widgets.viewer.compare.wipe import LINE, WIPE

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def run(qtbot: Any, dock: RestoreDock, model: Path) -> Any:
    """Restore with a model, by the button; gives the layer."""
    dock.model.choose(str(model))
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done."
    (layer,) = dock.results.layers
    return layer


def pick(qtbot: Any, box: QComboBox, text: str) -> None:
    """Choose an item of a list as a person does: open it, and click."""
    click(qtbot, box)
    view = box.view()
    assert view is not None
    qtbot.waitUntil(view.isVisible)
    # Qt takes a click that comes sooner for the second half of a double click, and leaves the list open.
    qtbot.wait(QApplication.doubleClickInterval() + 100)
    place = view.visualRect(box.model().index(box.findText(text), 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: not view.isVisible())


def choices(dock: RestoreDock) -> list[str]:
    box = dock.compare.comparisons
    return [box.itemText(i) for i in range(box.count())]


def picture(viewer: Viewer) -> np.ndarray:
    return np.asarray(viewer.screenshot(canvas_only=True, flash=False))[..., :3].astype(int)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


@pytest.fixture
def two(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> tuple[RestoreDock, Any, Any, np.ndarray]:
    """A source that was restored twice, the older and the newer result, and the picture of the source alone."""
    pixels = np.random.default_rng(0).poisson(100, (75, 110)).astype(np.uint16)
    viewer.add_image(pixels, name="cells")
    dock = dock_in(viewer, checkpoints["denoiser"])
    older, newer = (run(qtbot, dock, checkpoints[name]) for name in ("denoiser", "local"))
    all_in_view(qtbot, viewer)
    source = viewer.layers["cells"]
    seen = {layer: layer.visible for layer in viewer.layers}
    for layer in viewer.layers:
        layer.visible = layer is source
    alone = picture(viewer)
    for layer, visible in seen.items():
        layer.visible = visible
    return dock, older, newer, alone


def test_the_key_shows_the_source_and_no_older_result(
    qtbot: Any, viewer: Viewer, two: tuple[RestoreDock, Any, Any, np.ndarray]
) -> None:
    dock, older, newer, alone = two
    assert newer.visible and not older.visible and not viewer.layers["cells"].visible
    shown = picture(viewer)
    assert apart(shown, alone) > 1
    older.visible = True  # as a person may want it
    qtbot.keyPress(canvas_of(dock), HOLD_KEY)
    assert apart(picture(viewer), alone) < 0.01
    qtbot.keyRelease(canvas_of(dock), HOLD_KEY)
    assert older.visible and newer.visible and not viewer.layers["cells"].visible
    assert apart(picture(viewer), shown) < 0.01


def test_layers_that_are_linked_are_shown_one_without_the_other(
    qtbot: Any, viewer: Viewer, two: tuple[RestoreDock, Any, Any, np.ndarray]
) -> None:
    dock, _, newer, alone = two
    shown, source = picture(viewer), viewer.layers["cells"]
    viewer.layers.link_layers([source, newer])
    qtbot.keyPress(canvas_of(dock), HOLD_KEY)
    assert source.visible and not newer.visible and apart(picture(viewer), alone) < 0.01
    qtbot.keyRelease(canvas_of(dock), HOLD_KEY)
    assert newer.visible and not source.visible and apart(picture(viewer), shown) < 0.01
    source.opacity = 0.5
    assert newer.opacity == 0.5  # what is not in the way stays linked


def test_a_difference_is_not_in_the_way_of_the_source(
    qtbot: Any, viewer: Viewer, two: tuple[RestoreDock, Any, Any, np.ndarray]
) -> None:
    dock, _, _, alone = two
    click(qtbot, dock.compare.difference)
    name = f"{DIFFERENCE}cells ▸ local"
    qtbot.waitUntil(lambda: name in viewer.layers)
    qtbot.keyPress(canvas_of(dock), HOLD_KEY)
    assert apart(picture(viewer), alone) < 0.01
    qtbot.keyRelease(canvas_of(dock), HOLD_KEY)
    assert viewer.layers[name].visible


def test_all_tools_are_of_the_pair_that_is_chosen(
    qtbot: Any, viewer: Viewer, two: tuple[RestoreDock, Any, Any, np.ndarray]
) -> None:
    dock, older, newer, _ = two
    source = viewer.layers["cells"]
    assert choices(dock) == ["cells ▸ local", "cells ▸ denoiser"]
    assert dock.compare.comparisons.currentText() == "cells ▸ local"
    click(qtbot, dock.compare.measure)
    qtbot.waitUntil(lambda: "cells ▸ local" in dock.compare.figures.text())
    pick(qtbot, dock.compare.comparisons, "cells ▸ denoiser")
    assert older.visible and not newer.visible and not source.visible
    assert dock.compare.figures.isHidden()  # those were of the other pair
    click(qtbot, dock.compare.measure)
    qtbot.waitUntil(lambda: "cells ▸ denoiser" in dock.compare.figures.text())
    click(qtbot, dock.compare.difference)
    qtbot.waitUntil(lambda: f"{DIFFERENCE}cells ▸ denoiser" in viewer.layers)
    difference = viewer.layers[f"{DIFFERENCE}cells ▸ denoiser"]
    np.testing.assert_array_equal(difference.data, source.data.astype(np.float32) - older.data)
    click(qtbot, dock.compare.grid)
    assert [layer for layer in viewer.layers if layer.visible] == [source, older]
    click(qtbot, dock.compare.grid)
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    np.testing.assert_array_equal(viewer.layers[WIPE].data[:, 55:], older.data[:, 55:])
    # Another pair ends the wipe of this one, and the slider says so.
    pick(qtbot, dock.compare.comparisons, "cells ▸ local")
    assert dock.compare.wipe.value() == 0 and newer.visible and not older.visible
    until_no_wipe(qtbot, viewer)


def test_figures_go_when_another_run_has_made_them_wrong(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], two: tuple[RestoreDock, Any, Any, np.ndarray]
) -> None:
    dock, *_ = two
    click(qtbot, dock.compare.measure)
    qtbot.waitUntil(lambda: not dock.compare.figures.isHidden())
    run(qtbot, dock, checkpoints["local"])
    assert dock.compare.figures.isHidden() and choices(dock)[0] == "cells ▸ local"


@pytest.mark.parametrize("helper", [WIPE, LINE])
def test_a_helper_that_is_deleted_leaves_the_result(
    qtbot: Any, viewer: Viewer, two: tuple[RestoreDock, Any, Any, np.ndarray], helper: str
) -> None:
    dock, _, newer, _ = two
    shown = picture(viewer)
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    viewer.layers.remove(helper)
    until_no_wipe(qtbot, viewer)
    assert dock.compare.wipe.value() == 0 and newer.visible and apart(picture(viewer), shown) < 0.01
    viewer.scene.camera.zoom *= 1.1
    qtbot.wait(600)  # nothing comes back by itself
    assert WIPE not in viewer.layers
    dock.compare.wipe.setValue(60)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)


def test_a_result_that_is_deleted_gives_way_to_the_one_before_and_then_to_the_source(
    qtbot: Any, viewer: Viewer, two: tuple[RestoreDock, Any, Any, np.ndarray]
) -> None:
    dock, older, newer, alone = two
    viewer.layers.remove(newer)
    assert choices(dock) == ["cells ▸ denoiser"] and older.visible
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    viewer.layers.remove(older)
    until_no_wipe(qtbot, viewer)
    assert choices(dock) == [] and not dock.compare.isEnabled() and list(viewer.layers) == [viewer.layers["cells"]]
    assert apart(picture(viewer), alone) < 0.01


def test_a_source_that_is_deleted_is_compared_no_more(
    qtbot: Any, viewer: Viewer, two: tuple[RestoreDock, Any, Any, np.ndarray]
) -> None:
    dock, older, newer, _ = two
    click(qtbot, dock.compare.grid)
    viewer.layers.remove("cells")
    assert not dock.compare.isEnabled() and not dock.compare.grid.isChecked()
    assert not viewer.canvas.grid.enabled and list(viewer.layers) == [older, newer]


def test_the_pair_follows_the_layer_that_is_chosen(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    rng = np.random.default_rng(0)
    for name in "ac":
        viewer.add_image(rng.poisson(100, (75, 110)).astype(np.uint16), name=name)
    dock = dock_in(viewer, checkpoints["denoiser"])
    for name in "ac":
        dock.input.choose(name)
        run(qtbot, dock, checkpoints["denoiser"])
    all_in_view(qtbot, viewer)  # once the dock widget has its width, and the canvas what is left
    assert dock.compare.comparisons.currentText() == "c ▸ denoiser"
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    seen = [layer.visible for layer in viewer.layers if layer.name in ("a", "a ▸ denoiser")]
    pick(qtbot, dock.input.layers, "a")
    until_no_wipe(qtbot, viewer)
    assert dock.compare.comparisons.currentText() == "a ▸ denoiser"
    assert [layer.visible for layer in viewer.layers if layer.name in ("a", "a ▸ denoiser")] == seen
    click(qtbot, dock.compare.difference)
    qtbot.waitUntil(lambda: f"{DIFFERENCE}a ▸ denoiser" in viewer.layers)
    expected = viewer.layers["a"].data.astype(np.float32) - viewer.layers["a ▸ denoiser"].data
    np.testing.assert_array_equal(viewer.layers[f"{DIFFERENCE}a ▸ denoiser"].data, expected)


def test_a_preview_is_a_pair_of_its_own(
    qtbot: Any, viewer: Viewer, two: tuple[RestoreDock, Any, Any, np.ndarray]
) -> None:
    dock, _, newer, _ = two
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    assert choices(dock)[0] == "cells ▸ local, preview" and not newer.visible
    viewer.layers.remove("preview · cells ▸ local")
    assert dock.compare.comparisons.currentText() == "cells ▸ local" and newer.visible

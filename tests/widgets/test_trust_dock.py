"""Assess a result in a real window: the verdict, the places, the maps, stopping, and results of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, close_button, dock_in, to_disk, until_idle
from napari import Viewer
from qtpy.QtCore import Qt

from napari_restore import api
from napari_restore.widgets.jobs.trust import assessing
from napari_restore.widgets.trust_dock import TrustDock

# A window of napari that is closed leaves timers and sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PLANTED = (slice(2, 3), slice(60, 64), slice(20, 110))


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A noisy stack, and a result of another tool with a bar that was never recorded."""
    rng = np.random.default_rng(0)
    truth = 200 + 100 * np.sin(np.arange(128) / 9) * np.ones((4, 128, 1))
    noisy = rng.poisson(truth).astype(np.uint16)
    truth[PLANTED] += 60
    return noisy, truth.astype(np.float32)


@pytest.fixture
def trust(viewer: Viewer, pair: tuple[np.ndarray, np.ndarray]) -> TrustDock:
    """The dock widget, with a source of anisotropic pixels and the result of another tool."""
    viewer.add_image(pair[0], name="noisy", scale=(2.0, 0.5, 0.5), translate=(10.0, 0.0, 5.0))
    viewer.add_image(pair[1], name="other tool", scale=(2.0, 0.5, 0.5), translate=(10.0, 0.0, 5.0))
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Trust")
    dock.open_now()
    choose(dock, "other tool", "noisy")
    return dock


def choose(dock: TrustDock, result: str, source: str) -> None:
    dock.box.results.setCurrentText(result)
    dock.box.sources.setCurrentText(source)


def until_done(qtbot: Any, dock: TrustDock) -> None:
    qtbot.waitUntil(lambda: not dock.box.running and not dock.works)


def click_row(qtbot: Any, dock: TrustDock, row: int) -> None:
    table = dock.box.places
    at = table.visualItemRect(table.item(row, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)


def test_a_place_leads_there_and_the_map_lies_over_it(qtbot: Any, viewer: Viewer, trust: TrustDock) -> None:
    box = trust.box
    assert box.assess.isEnabled() and not box.report.isEnabled() and not box.map_box.isEnabled()
    click(qtbot, box.assess)
    assert box.assess.text() == "Stop"
    until_done(qtbot, trust)
    assert "shows structure" in box.line.text() and "Z 2" in box.line.text(), box.told.text()
    assert box.places.isVisible() and box.places.item(0, 1).text() == "added"
    place = trust._found.assessment.places[0]
    viewer.dims.set_current_step(0, 0)
    viewer.reset_view()
    click_row(qtbot, trust, 0)
    assert viewer.dims.current_step[0] == 2
    row, column = viewer.scene.camera.center[-2:]
    # In the world of the layer: pixels of 0.5, from 0 along Y and from 5 along X.
    assert place.y[0] <= row / 0.5 < place.y[1] and place.x[0] <= (column - 5) / 0.5 < place.x[1]
    assert box.places.item(0, 0).text() == place.where("ZYX")
    click(qtbot, box.show_map)
    until_done(qtbot, trust)
    (layer,) = (each for each in viewer.layers if each.name.startswith("probability"))
    values = layer.data[2, 60 // 16]
    assert values[1:6].min() < -4 and abs(layer.data[0, 0]).max() < 4
    corner = layer.data_to_world([0, -0.5, -0.5])  # outer edges of layer and source coincide
    np.testing.assert_allclose(corner, viewer.layers["noisy"].data_to_world([0, -0.5, -0.5]))
    assert layer.colormap.map(np.array([0.5]))[0, 3] == 0  # what noise explains hides nothing
    box.maps.setCurrentText("Score of pixels")
    until_done(qtbot, trust)
    (layer,) = (each for each in viewer.layers if each.name.startswith("score"))
    assert layer.data.shape == (4, 128, 128) and layer.data[2, 61, 60] < -4
    click(qtbot, box.show_map)
    assert [each.name for each in viewer.layers] == ["noisy", "other tool"]
    click(qtbot, box.show_map)
    until_done(qtbot, trust)
    viewer.layers.remove(viewer.layers[-1])  # as the user does
    qtbot.waitUntil(lambda: not box.show_map.isChecked())
    assert box.line.text()  # what was found stays
    click(qtbot, box.report)
    assert "Photometry" in trust._report.page.toPlainText()
    trust._report.close()


def test_errors_stopping_and_closing(
    qtbot: Any, viewer: Viewer, trust: TrustDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, reached = trust.box, []
    viewer.add_image(np.zeros((4, 128, 120), np.float32), name="cropped", scale=(2.0, 0.5, 0.5))
    qtbot.waitUntil(lambda: box.results.findText("cropped") >= 0)
    choose(trust, "cropped", "noisy")
    click(qtbot, box.assess)
    until_done(qtbot, trust)
    assert box.told.text().startswith("⚠ source Z 4 Y 128 X 128") and box.assess.text() == "Assess"
    box.axes.setText("YX")
    box.axes.editingFinished.emit()
    assert box.told.text().startswith("⚠") and not box.assess.isEnabled()
    choose(trust, "noisy", "other tool")  # the wrong way round
    click(qtbot, box.assess)
    until_done(qtbot, trust)
    assert "choose the noisy layer as Source" in box.told.text()

    def endless(source: Any, result: Any, output: Any, *, overwrite: bool, progress: Any) -> None:
        while True:
            progress(3, 10)
            reached.append(True)

    monkeypatch.setattr(assessing.api, "assess", endless)
    choose(trust, "other tool", "noisy")
    click(qtbot, box.assess)
    qtbot.waitUntil(lambda: box.bar.value() == 3)
    assert box.told.text() == "3 of 10 blocks"
    click(qtbot, box.assess)
    until_done(qtbot, trust)
    assert box.told.text() == "Stopped; nothing was kept." and box.assess.text() == "Assess"
    count = len(reached)
    click(qtbot, box.assess)
    qtbot.waitUntil(lambda: len(reached) > count)
    work = trust.works["assess"]
    click(qtbot, close_button(trust))
    qtbot.waitUntil(work.finished.is_set)


@pytest.mark.long
def test_a_stored_result_from_compare_with_its_uncertainty(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], pair: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    viewer.add_image(pair[0][0, :96, :96], name="cells", scale=(0.5, 0.5))
    dock = dock_in(viewer, checkpoints["denoiser"])
    to_disk(dock, tmp_path / "cells.zarr")
    dock.output.made["uncertainty"].native.setChecked(True)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    click(qtbot, dock.compare.trust)
    (trust,) = dock.window().findChildren(TrustDock)
    until_done(qtbot, trust)
    assert trust.box.source().name == "cells" and trust.box.letters() == dock.input.letters()
    assert trust.box.maps.currentText() == "Uncertainty"  # the only map before it is assessed
    click(qtbot, trust.box.show_map)
    until_done(qtbot, trust)
    shown = viewer.layers[-1]
    stored = api.open_image(tmp_path / "cells.zarr" / "uncertainty").read((slice(None),) * 2)
    np.testing.assert_array_equal(np.asarray(shown.data), stored)
    np.testing.assert_array_equal(shown.scale, viewer.layers["cells"].scale)
    click(qtbot, trust.box.assess)
    until_done(qtbot, trust)
    line = trust.box.line.text()
    assert line and (tmp_path / "cells.zarr" / "assessment" / "assessment.json").is_file()
    viewer.window.remove_dock_widget(trust.parent())
    assert shown not in viewer.layers
    _, again = viewer.window.add_plugin_dock_widget("napari-restore", "Trust")
    again.open_now()
    until_done(qtbot, again)
    assert again.box.line.text() == line and "before" in again.box.told.text()

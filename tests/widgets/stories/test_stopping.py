"""Nothing is stuck: previews and runs are started and stopped by buttons and keys, whatever is in progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle, until_preflight
from napari import Viewer
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QLineEdit,
    QPushButton,
    QSlider,
    QToolButton,
    QWidget,
)

from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.jobs.results import PREVIEW

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def large(viewer: Viewer, checkpoints: dict[str, Path]) -> RestoreDock:
    """A dock widget with a layer that takes long enough for something to happen meanwhile."""
    pixels = np.random.default_rng(0).poisson(100, (240, 300)).astype(np.uint16)
    viewer.add_image(pixels, name="large")
    return dock_in(viewer, checkpoints["denoiser"])


def press(qtbot: Any, dock: RestoreDock, key: Qt.Key, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
    """Press a key where the focus is, in the dock widget."""
    focused = QApplication.focusWidget()
    assert focused is not None and dock.isAncestorOf(focused)
    qtbot.keyClick(focused, key, modifier)


def focus(qtbot: Any, dock: RestoreDock, widget: QWidget) -> None:
    window = dock.window()
    assert window is not None
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    widget.setFocus()
    qtbot.waitUntil(widget.hasFocus)


def test_a_preview_is_stopped_by_its_button(qtbot: Any, viewer: Viewer, large: RestoreDock) -> None:
    bar = large.bar
    click(qtbot, bar.preview)
    assert bar.preview.text() == "Stop" and bar.run.isEnabled() and bar.run.text() == "Run"
    work = large.works["preview"]
    click(qtbot, bar.preview)
    assert work.stopping.is_set() and bar.state == "idle" and bar.preview.text() == "Preview"
    assert bar.line.text() == "Preview stopped." and bar.bar.isHidden()
    qtbot.waitUntil(work.finished.is_set)
    qtbot.wait(200)
    assert bar.state == "idle" and bar.line.text() == "Preview stopped."


def test_a_preview_does_not_keep_a_run_from_starting(qtbot: Any, viewer: Viewer, large: RestoreDock) -> None:
    click(qtbot, large.bar.preview)
    work = large.works["preview"]
    click(qtbot, large.bar.run)
    assert work.stopping.is_set() and large.bar.state == "running" and large.bar.preview.text() == "Preview"
    until_idle(qtbot, large)
    assert [layer.name for layer in viewer.layers] == ["large", "large ▸ denoiser"]


@pytest.mark.parametrize("enter", [Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_keys_run_preview_and_stop(qtbot: Any, viewer: Viewer, large: RestoreDock, enter: Qt.Key) -> None:
    bar = large.bar
    # From a field that has a use of its own for Enter, too.
    focus(qtbot, large, large.input.axes)
    press(qtbot, large, enter, Qt.KeyboardModifier.ShiftModifier)
    assert bar.state == "previewing"
    press(qtbot, large, Qt.Key.Key_Escape)
    assert bar.state == "idle" and "preview" not in large.works
    press(qtbot, large, enter, Qt.KeyboardModifier.ControlModifier)
    assert bar.state == "running"
    work = large.works["run"]
    press(qtbot, large, enter, Qt.KeyboardModifier.ControlModifier)
    assert large.works["run"] is work  # there is one already
    press(qtbot, large, Qt.Key.Key_Escape)
    assert bar.state == "cancelling"
    until_idle(qtbot, large)
    press(qtbot, large, Qt.Key.Key_Escape)  # there is nothing to stop
    assert bar.state == "idle"


def test_the_focus_can_be_seen(qtbot: Any, viewer: Viewer, dock: RestoreDock, tmp_path: Path) -> None:
    until_preflight(qtbot, dock)
    dock.performance.expand(animate=False)
    to_disk(dock, tmp_path / "out.ome.zarr")
    until_preflight(qtbot, dock)  # what it finds moves the controls
    controls = [
        widget
        for kind in (QPushButton, QToolButton, QComboBox, QLineEdit, QAbstractSpinBox, QCheckBox, QSlider)
        for widget in dock.findChildren(kind)
        if widget.isVisible() and widget.isEnabled() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        if not isinstance(widget.parent(), QAbstractSpinBox)
    ]
    assert len(controls) > 12
    for theme in ("dark", "light"):
        viewer.theme = theme
        qtbot.wait(300)
        for widget in controls:
            pictures, sizes = [], []
            other = dock.input.layers if widget is not dock.input.layers else dock.bar.preview
            for focused in (widget, other, widget):  # Qt lays out some controls once more at their first focus
                focus(qtbot, dock, focused)
                qtbot.wait(30)
                QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
                image = widget.grab().toImage()
                sizes.append(widget.size())
                pictures.append(
                    np.array(
                        [
                            [image.pixelColor(x, y).lightness() for x in range(image.width())]
                            for y in range(image.height())
                        ]
                    )
                )
            assert sizes[-2] == sizes[-1], widget.accessibleName()  # nothing moves
            changed = np.abs(pictures[-2].astype(int) - pictures[-1]) > 40
            assert changed.sum() > 40, (theme, type(widget), widget.accessibleName(), int(changed.sum()))


def test_settings_that_change_during_a_run_are_checked_after_it(qtbot: Any, large: RestoreDock) -> None:
    until_preflight(qtbot, large)
    click(qtbot, large.bar.run)
    qtbot.waitUntil(lambda: bool(large.results.layers))
    large.output.dtype.setCurrentText("float32")
    qtbot.waitUntil(lambda: "when the run has ended" in large.output.cost.text() or large.bar.state == "idle")
    until_idle(qtbot, large)
    until_preflight(qtbot, large)
    assert "288.0 kB to memory" in large.output.cost.text() and "Noise here" in large.verdict.verdict.toolTip()


def test_a_result_that_is_deleted_ends_its_run(qtbot: Any, viewer: Viewer, large: RestoreDock) -> None:
    click(qtbot, large.bar.run)
    qtbot.waitUntil(lambda: "large ▸ denoiser" in viewer.layers)
    viewer.layers.remove("large ▸ denoiser")
    qtbot.waitUntil(lambda: large.bar.state != "running")
    until_idle(qtbot, large)
    assert large.bar.line.text() == "Stopped: the layer of the result was removed."
    assert [layer.name for layer in viewer.layers] == ["large"] and viewer.layers["large"].visible


def test_a_stored_result_is_completed_without_its_layer(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    from napari_restore.images.writing import ome_zarr

    viewer.add_image(np.random.default_rng(0).poisson(100, (8, 90, 90)).astype(np.uint16), name="movie")
    dock = dock_in(viewer, checkpoints["denoiser"])
    to_disk(dock, tmp_path / "o.zarr")
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: "movie ▸ denoiser" in viewer.layers)
    viewer.layers.remove("movie ▸ denoiser")
    until_idle(qtbot, dock)
    assert ome_zarr.stored_units(tmp_path / "o.zarr", 0).all()
    assert dock.bar.line.text() == f"Done. The layer of the result was removed; the result is in {tmp_path / 'o.zarr'}."


def test_cancelled_before_the_first_block(qtbot: Any, viewer: Viewer, large: RestoreDock, tmp_path: Path) -> None:
    for output in (None, tmp_path / "o.zarr"):
        if output is not None:
            to_disk(large, output)
        click(qtbot, large.bar.run)
        qtbot.waitUntil(lambda: "large ▸ denoiser" in viewer.layers)
        click(qtbot, large.bar.run)
        until_idle(qtbot, large)
        assert large.bar.line.text() == "Cancelled before the first block; nothing is stored."
        assert large.bar.run.text() == "Run" and "large ▸ denoiser" not in viewer.layers
        assert viewer.layers["large"].visible
    click(qtbot, large.bar.run)
    until_idle(qtbot, large)
    assert large.bar.line.text() == "Done."
    result = viewer.layers["large ▸ denoiser"]
    to_disk(large, tmp_path / "another.zarr")
    click(qtbot, large.bar.run)
    click(qtbot, large.bar.run)  # before the layers of this run are shown: those of the run before stay
    until_idle(qtbot, large)
    assert large.bar.line.text() == "Cancelled before the first block; nothing is stored."
    assert result in viewer.layers


def test_a_preview_that_is_stopped_keeps_what_it_has_shown(qtbot: Any, viewer: Viewer, large: RestoreDock) -> None:
    click(qtbot, large.bar.preview)
    name = f"{PREVIEW}large ▸ denoiser"
    qtbot.waitUntil(lambda: name in viewer.layers or large.bar.state == "idle")
    click(qtbot, large.bar.preview) if large.bar.state == "previewing" else None
    until_idle(qtbot, large)
    assert name in viewer.layers

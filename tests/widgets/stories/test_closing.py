"""A dock widget that is closed by the × of its title bar, as napari closes it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canvas import canvas_of
from docks import click, close_button, dock_in, to_disk, until_idle
from napari import Viewer
from napari.utils.notifications import notification_manager
from qtpy import PYSIDE6
from qtpy.QtWidgets import QMessageBox

from napari_restore.images.writing import ome_zarr
from napari_restore.widgets.dock import DenoiseDock, RestoreDock
from napari_restore.widgets.viewer.compare.compare_tools import HOLD_KEY

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def no_work_is_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "napari-restore":
            thread.join(30)
            assert not thread.is_alive()


def questions(viewer: Viewer) -> list[QMessageBox]:
    return [box for box in viewer.window._qt_window.findChildren(QMessageBox) if box.isVisible()]


def button(box: QMessageBox, text: str) -> Any:
    (found,) = (b for b in box.buttons() if b.text() == text)
    return found


def freed(qtbot: Any, gone: weakref.ref[Any]) -> None:
    """Wait until a dock widget is freed. With PySide6 it is kept, as its collection may end the process."""
    if PYSIDE6:
        gc.collect()
        assert gone() is not None
    else:
        qtbot.waitUntil(lambda: gc.collect() >= 0 and gone() is None)


def test_nothing_of_a_closed_dock_lives_on(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    pixels = np.random.default_rng(0).poisson(100, (90, 120)).astype(np.uint16)
    source = viewer.add_image(pixels, name="cells")
    dock = dock_in(viewer, checkpoints["denoiser"])
    click(qtbot, dock.bar.live)
    until_idle(qtbot, dock)
    assert len(viewer.layers) == 2 and source.visible
    canvas = canvas_of(dock)
    gone = weakref.ref(dock)
    click(qtbot, close_button(dock))
    del dock
    # Its preview goes with it, and what it had hidden is back.
    assert list(viewer.layers) == [source] and source.visible
    assert not [key for key in viewer.keymap if str(key) == HOLD_KEY]
    viewer.scene.camera.zoom *= 1.7
    qtbot.keyPress(canvas, HOLD_KEY)
    qtbot.keyRelease(canvas, HOLD_KEY)
    qtbot.wait(1000)
    assert list(viewer.layers) == [source] and source.visible
    assert "napari-restore" not in [thread.name for thread in threading.enumerate()]
    freed(qtbot, gone)


def opened(qtbot: Any, viewer: Viewer, name: str) -> Any:
    dock = viewer.window.add_plugin_dock_widget("napari-restore", name)[1]
    qtbot.waitUntil(lambda: dock.opened)
    return dock


@pytest.mark.parametrize("name", ["Super-resolution", "Adapt to my data", "Trust"])
def test_every_dock_that_is_closed_is_freed(qtbot: Any, viewer: Viewer, name: str) -> None:
    viewer.add_image(np.zeros((40, 50), np.uint8), name="cells")
    dock = opened(qtbot, viewer, name)
    gone = weakref.ref(dock)
    click(qtbot, close_button(dock))
    del dock
    freed(qtbot, gone)


def test_the_wipe_and_the_grid_go_with_the_dock(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    assert len(viewer.layers) == 4
    click(qtbot, close_button(dock))
    assert [layer.name for layer in viewer.layers] == ["cells", "cells ▸ denoiser"]  # a result stays
    assert viewer.layers["cells ▸ denoiser"].visible


def test_a_new_dock_takes_no_preview_as_its_input(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    other = viewer.window.add_plugin_dock_widget("napari-restore", "Super-resolution")[1]
    shown = [other.input.layers.itemText(i) for i in range(other.input.layers.count())]
    assert shown == ["cells"] and other.input.layer().name == "cells"
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    click(qtbot, close_button(dock))
    again = viewer.window.add_plugin_dock_widget("napari-restore", "Denoise")[1]
    assert again is not dock and again.input.layer().name == "cells"


@pytest.fixture
def running(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path) -> DenoiseDock:
    """A dock widget in the middle of a run to an OME-Zarr."""
    planes = np.random.default_rng(0).poisson(100, (16, 90, 90)).astype(np.uint16)
    viewer.add_image(planes, name="long")
    dock = dock_in(viewer, checkpoints["denoiser"])
    to_disk(dock, tmp_path / "o.zarr")
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: bool(dock.results.layers) and stored(tmp_path).any())
    return dock


def stored(folder: Path) -> np.ndarray:
    path = folder / "o.zarr"
    return ome_zarr.stored_units(path, 0) if (path / "zarr.json").exists() else np.zeros(1)


def test_closing_during_a_run_asks_and_stops(qtbot: Any, viewer: Viewer, running: DenoiseDock, tmp_path: Path) -> None:
    work = running.works["run"]
    click(qtbot, close_button(running))
    (box,) = questions(viewer)
    assert "long is still being restored" in box.text() and "resumed" in box.informativeText()
    click(qtbot, button(box, "Stop"))
    qtbot.waitUntil(lambda: not running.works and not questions(viewer))
    assert work.finished.is_set() and 0 < stored(tmp_path).sum() < 16


def test_closing_during_a_run_asks_and_goes_on(
    qtbot: Any, viewer: Viewer, running: DenoiseDock, tmp_path: Path
) -> None:
    heard: list[str] = []
    notification_manager.notification_ready.connect(lambda notice: heard.append(notice.message))
    layer = running.results.layers[0]
    canvas = canvas_of(running)
    click(qtbot, close_button(running))
    (box,) = questions(viewer)
    click(qtbot, button(box, "Continue"))
    assert not questions(viewer) and "run" in running.works
    before = [each.visible for each in viewer.layers]
    qtbot.keyPress(canvas, HOLD_KEY)
    assert [each.visible for each in viewer.layers] == before  # the key is given back
    qtbot.keyRelease(canvas, HOLD_KEY)
    qtbot.waitUntil(lambda: not running.works)
    assert stored(tmp_path).sum() == 16 and all(np.asarray(layer.data[plane]).std() > 0 for plane in (0, 15))
    qtbot.waitUntil(lambda: len(heard) == 1 and heard[0].startswith("long: done in "))


def test_a_run_that_ends_takes_the_question_away(qtbot: Any, viewer: Viewer, running: DenoiseDock) -> None:
    click(qtbot, close_button(running))
    assert len(questions(viewer)) == 1
    qtbot.waitUntil(lambda: not running.works)
    qtbot.waitUntil(lambda: not questions(viewer))


def test_the_window_can_close_over_the_question(
    qtbot: Any, viewer: Viewer, running: DenoiseDock, tmp_path: Path
) -> None:
    work = running.works["run"]
    click(qtbot, close_button(running))
    assert len(questions(viewer)) == 1
    viewer.close()
    qtbot.waitUntil(work.finished.is_set)
    assert 0 < stored(tmp_path).sum() < 16 and not running.works


def test_a_dock_that_is_put_back_works_again(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    """A script that holds it may; napari itself makes a new one."""
    click(qtbot, close_button(dock))
    viewer.add_image(np.zeros((40, 50), np.uint8), name="other")
    viewer.window.add_dock_widget(dock, name="again")
    qtbot.waitUntil(lambda: dock.input.layer().name == "other")
    viewer.layers.selection.active = viewer.layers["cells"]
    assert dock.input.layer().name == "cells"
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    assert "preview · cells ▸ denoiser" in viewer.layers
    click(qtbot, close_button(dock))
    assert "preview · cells ▸ denoiser" not in viewer.layers

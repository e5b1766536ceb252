"""Layers that go while one other layer is drawn. Mesa's software renderer ended the process, with napari alone too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from canvas import canvas_of
from docks import click, close_button, until_idle
from napari import Viewer
from qtpy.QtGui import QOpenGLContext

from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.viewer.compare.difference import DIFFERENCE

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def compare(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    """Preview, and a difference that is alone to be drawn."""
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    click(qtbot, dock.compare.difference)
    qtbot.waitUntil(lambda: any(layer.name.startswith(DIFFERENCE) for layer in viewer.layers))
    for layer in viewer.layers:
        layer.visible = layer.name.startswith(DIFFERENCE)
    qtbot.wait(300)


def run(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done."


def remove_the_source(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    viewer.layers.remove("cells")


def remove_the_preview(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    viewer.layers.remove("preview · cells ▸ denoiser")


def close(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    click(qtbot, close_button(dock))


@pytest.mark.parametrize("remove", [run, remove_the_source, remove_the_preview, close])
def test_a_layer_goes_while_another_is_drawn_alone(
    qtbot: Any, viewer: Viewer, dock: RestoreDock, remove: Callable[..., None]
) -> None:
    compare(qtbot, viewer, dock)
    canvas, current = canvas_of(dock), []

    def look(event: object) -> None:
        current.append(QOpenGLContext.currentContext() == canvas.context())

    viewer.layers.events.removed.connect(look)
    remove(qtbot, viewer, dock)
    assert current and all(current)
    # The process ended when the next layer was drawn.
    viewer.add_image(np.eye(50, dtype=np.uint16), name="next")
    qtbot.wait(500)
    assert np.ptp(np.asarray(viewer.screenshot(canvas_only=True, flash=False))[..., :3]) > 100

"""Previews that follow the view."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from docks import click, until_idle
from napari import Viewer

from napari_restore.widgets.dock import RestoreDock

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_live_preview_follows_sliders_and_camera(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    viewer.dims.set_current_step(0, 0)
    click(qtbot, dock.bar.live)
    until_idle(qtbot, dock)
    (preview,) = dock.results.layers
    first = np.asarray(preview.data)
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: preview.translate[0] == 4.0)
    assert dock.results.layers == [preview] and not np.array_equal(preview.data, first)
    until_idle(qtbot, dock)
    viewer.scene.camera.zoom = 30
    qtbot.waitUntil(lambda: preview.data.size < first.size)
    until_idle(qtbot, dock)
    qtbot.wait(500)  # what a preview changes by itself does not start another one
    assert not dock.works
    click(qtbot, dock.bar.live)
    shape = preview.data.shape
    viewer.scene.camera.zoom = 60
    qtbot.wait(500)
    assert not dock.works and preview.data.shape == shape

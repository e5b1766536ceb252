from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle
from napari import Viewer
from qtpy.QtWidgets import QPushButton

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_the_activity_docks_button_cancels(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    planes = np.random.default_rng(0).poisson(100, (40, 120, 160)).astype(np.uint16)
    viewer.add_image(planes, name="long")
    dock = dock_in(viewer, checkpoints["denoiser"])
    to_disk(dock, tmp_path / "o.zarr")
    click(qtbot, dock.bar.run)
    window = dock.window()
    assert window is not None
    qtbot.waitUntil(lambda: dock.bar.bar.maximum() > 0 and dock.bar.bar.value() > 0)
    assert dock.display.activity.bar.n > 0 and dock.display.activity.bar.total == dock.bar.bar.maximum()
    buttons = [b for b in window.findChildren(QPushButton) if b.text() == "Cancel" and b is not dock.bar.run]
    assert len(buttons) == 1
    buttons[0].click()
    assert dock.bar.run.text() == "Cancelling…"
    until_idle(qtbot, dock)
    assert dock.bar.line.text().startswith("Cancelled") and dock.display.activity.bar is None

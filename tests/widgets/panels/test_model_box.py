from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, until_idle, until_preflight
from napari import Viewer
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QApplication,
    QWidget,
)

from napari_restore import api
from napari_restore.widgets.dock import SuperResolutionDock


def drop(box: QWidget, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entering = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, button, keys)
    QApplication.sendEvent(box, entering)
    assert entering.isAccepted()
    QApplication.sendEvent(box, QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, button, keys))


def test_a_checkpoint_that_is_dropped_says_what_it_is(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    dock = dock_in(viewer, kind=SuperResolutionDock)  # no layer is needed
    drop(dock.model, checkpoints["upscaler"])
    assert dock.model.model() == str(checkpoints["upscaler"])
    qtbot.waitUntil(lambda: "Super-resolution ×2; gray" in dock.model.description.text())
    assert dock.model.fetch.isHidden() and dock.model.notice.text() == ""
    until_idle(qtbot, dock)


@pytest.mark.usefixtures("no_weights")
def test_noise_that_does_not_fit_is_warned_of_before_any_download(qtbot: Any, viewer: Viewer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = 128 + 60 * np.sin(np.arange(256) / 30) * np.ones((256, 1))
    viewer.add_image((smooth + rng.normal(0, 50, smooth.shape)).astype(np.float32), name="noisy")
    dock = dock_in(viewer)
    qtbot.keyClicks(dock.output.low, "0")
    qtbot.keyClicks(dock.output.high, "255")
    dock.model.models.setCurrentText("swinir-gray-denoise-15")
    until_preflight(qtbot, dock)
    text = dock.verdict.advice.text()
    assert text.startswith("Noise here: σ 5") and "the model expects 5.9 %" in text
    assert dock.verdict.verdict.text().startswith("⚠ More noise (20 %) than the model is made for (5.9 %)")
    assert "expects less noise" in text and "swinir-gray-denoise-50 fits better" in text
    assert dock.verdict.change.text().endswith("time known after the download.")
    assert dock.verdict.button.text() == "Use swinir-gray-denoise-50"
    click(qtbot, dock.verdict.button)
    assert dock.model.model() == "swinir-gray-denoise-50"
    qtbot.waitUntil(lambda: dock.verdict.verdict.toolTip().endswith("the model expects 20 %."))
    assert dock.verdict.verdict.text() == "✓ Fits: 20 % noise, made for 20 %" and dock.verdict.button.isHidden()
    assert not (tmp_path / "models").exists()


@pytest.mark.usefixtures("no_weights")
def test_weights_are_fetched_on_request(qtbot: Any, viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []

    def slow(model: str, progress: Any) -> None:
        try:
            for done in range(1000):
                progress(done * 10**6, 10**9)
                time.sleep(0.01)
        except BaseException:
            stopped.append(model)
            raise

    monkeypatch.setattr(api, "fetch", slow)
    dock = dock_in(viewer)
    dock.model.models.setCurrentText("swinir-gray-denoise-15")
    click(qtbot, dock.model.fetch)
    qtbot.waitUntil(lambda: "of 1.0 GB · Cancel" in dock.model.fetch.text())
    click(qtbot, dock.model.fetch)
    until_idle(qtbot, dock)
    assert stopped == ["swinir-gray-denoise-15"] and dock.model.fetch.text().startswith("Download ")

    def fails(model: str, progress: Any) -> None:
        raise OSError("no way there")

    monkeypatch.setattr(api, "fetch", fails)
    click(qtbot, dock.model.fetch)
    until_idle(qtbot, dock)
    assert "no way there" in dock.bar.line.text() and dock.model.fetch.text().startswith("Download ")

"""Files that are no model for the task are not taken, and a colour layer gets the colour model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from docks import click, dock_in, until_idle
from napari import Viewer
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_restore import api
from napari_restore.widgets.dock import DenoiseDock, RestoreDock, SuperResolutionDock


def drop(dock: RestoreDock, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entering = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, button, keys)
    QApplication.sendEvent(dock.model, entering)
    assert entering.isAccepted()
    QApplication.sendEvent(dock.model, QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, button, keys))


def listed(dock: RestoreDock) -> list[str]:
    return [dock.model.models.itemText(i) for i in range(dock.model.models.count())]


def wrong_files(folder: Path, model: Path) -> dict[str, Path]:
    names = ("notes.txt", "truncated.safetensors", "empty.pth", "others.pth", "list.pt", "picture.png", "gone.ckpt")
    paths = {name: folder / name for name in names}
    paths["notes.txt"].write_text("hello")
    paths["truncated.safetensors"].write_bytes(model.read_bytes()[:-100])
    paths["empty.pth"].touch()
    torch.save({"a": torch.zeros(3)}, paths["others.pth"])
    torch.save([1, 2, 3], paths["list.pt"])
    paths["picture.png"].write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    folders = {"folder": folder / "folder", "folder.safetensors": folder / "folder.safetensors"}
    for path in folders.values():
        path.mkdir()
    return paths | folders


@pytest.mark.parametrize("kind", [DenoiseDock, SuperResolutionDock])
def test_a_file_that_is_no_model_is_not_taken(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path, kind: type[RestoreDock]
) -> None:
    dock = dock_in(viewer, kind=kind)
    before, models = dock.model.model(), listed(dock)
    described = dock.model.description.text()
    wrong = wrong_files(tmp_path, checkpoints["denoiser"])
    wrong["another task"] = checkpoints["upscaler" if kind is DenoiseDock else "denoiser"]
    for name, path in wrong.items():
        drop(dock, path)
        qtbot.waitUntil(lambda: dock.model.notice.text() != "")
        said = dock.model.notice.text()
        assert said.startswith("⚠") and said.endswith(f"The model is {before}, as before."), name
        assert "KeyError" not in said and "Error(" not in said, name
        assert dock.model.model() == before and listed(dock) == models, name
        assert dock.model.description.text() == described
    assert "keeps the number of pixels" in said or "increases the number of pixels" in said
    until_idle(qtbot, dock)


def test_a_good_file_after_a_wrong_one_is_taken_and_stays_chosen(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    dock = dock_in(viewer)
    wrong = wrong_files(tmp_path, checkpoints["denoiser"])
    drop(dock, wrong["truncated.safetensors"])
    drop(dock, checkpoints["denoiser"])  # before the first could be read
    qtbot.waitUntil(lambda: "Licence" in dock.model.description.text())
    until_idle(qtbot, dock)
    drop(dock, wrong["folder"])
    qtbot.waitUntil(lambda: "is a folder" in dock.model.notice.text())
    assert dock.model.model() == str(checkpoints["denoiser"])
    assert not {"truncated.safetensors", "folder"} & set(listed(dock))
    drop(dock, checkpoints["denoiser"], checkpoints["local"])
    assert "2 files were dropped" in dock.model.notice.text() and dock.model.model() == str(checkpoints["denoiser"])
    dock.model.models.setCurrentText(api.DENOISER)
    assert dock.model.notice.text() == ""


def test_run_before_the_file_is_read_starts_nothing(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], stack: np.ndarray
) -> None:
    viewer.add_image(stack, name="cells")
    dock = dock_in(viewer, kind=SuperResolutionDock)
    drop(dock, checkpoints["denoiser"])
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert "keeps the number of pixels (×1)" in dock.bar.line.text() and len(viewer.layers) == 1


def test_a_colour_layer_gets_the_colour_model(qtbot: Any, viewer: Viewer) -> None:
    viewer.add_image(np.zeros((40, 48), np.uint8), name="gray")
    dock = dock_in(viewer)
    assert dock.model.model() == api.DENOISER
    viewer.add_image(np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8), name="colour", rgb=True)
    assert dock.input.layers.currentText() == "colour" and dock.model.model() == "restormer-denoise-rgb-light"
    viewer.add_image(np.zeros((40, 48, 4), np.uint8), name="with alpha", rgb=True)
    assert dock.input.layers.currentText() == "with alpha" and dock.model.model() == api.DENOISER
    viewer.layers.selection.active = viewer.layers["colour"]
    assert dock.model.model() == "restormer-denoise-rgb-light"
    viewer.layers.selection.active = viewer.layers["gray"]
    assert dock.model.model() == api.DENOISER
    models = dock.model.models  # a model that the user has chosen stays
    models.setFocus()
    qtbot.keyClicks(models, "swinir-denoise")
    qtbot.waitUntil(lambda: dock.model.model() == "swinir-denoise-light")
    viewer.layers.selection.active = viewer.layers["colour"]
    assert dock.model.model() == "swinir-denoise-light"
    assert "restormer-denoise-rgb-light is bundled; swinir-denoise-light is still chosen" in dock.model.notice.text()

"""The page that restores a folder: list, run, cancel, resume, report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from docks import click, close_button, dock_in
from napari import Viewer
from qtpy.QtCore import QMimeData, QUrl

from napari_restore import api
from napari_restore.widgets.dock import RestoreDock

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, a file that cannot be read, and one that is no image."""
    folder = tmp_path / "day1"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        tifffile.imwrite(folder / f"{name}.tif", rng.poisson(100, (75, 110)).astype(np.uint16))
    (folder / "broken.tif").write_bytes(b"II*\0")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def dock(viewer: Viewer, checkpoints: dict[str, Path], folder: Path) -> RestoreDock:
    """The page *Batch* of a dock widget without any layer; the folder is dropped on it."""
    dock = dock_in(viewer, checkpoints["denoiser"])
    dock.pages.tabs.setCurrentIndex(1)
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(str(folder))])
    dock.batch.box.sources.insertFromMimeData(dropped)
    dock.batch.box.folder.setText(str(folder.parent / "restored"))
    return dock


def until_rest(qtbot: Any, dock: RestoreDock) -> None:
    qtbot.waitUntil(lambda: dock.batch.box.state == "idle" and "batch" not in dock.works)


def table(dock: RestoreDock) -> dict[str, str]:
    rows = dock.batch.box.table
    return {rows.item(row, 0).text(): rows.item(row, 1).text() for row in range(rows.rowCount())}


def test_a_folder_is_listed_restored_and_skipped(
    qtbot: Any, dock: RestoreDock, folder: Path, checkpoints: dict[str, Path]
) -> None:
    box = dock.batch.box
    click(qtbot, box.list)
    until_rest(qtbot, dock)
    listed = table(dock)
    assert listed["a.zarr"] == listed["b.zarr"] == "waiting" and listed["broken.zarr"].startswith("not possible: ")
    assert box.line.text() == "3 images: 2 new, 1 not possible; 1 other file left out."
    click(qtbot, box.run)
    assert box.run.text() == "Cancel" and not box.sources.isEnabled()
    until_rest(qtbot, dock)
    done = table(dock)
    assert done["a.zarr"] == done["b.zarr"] == "done" and done["broken.zarr"].startswith("failed: ")
    assert box.line.text().startswith("⚠ Batch: 2 of 3 images done in ")
    expected = api.denoise(tifffile.imread(folder / "a.tif"), model=str(checkpoints["denoiser"]), tile=96, halo=8)
    stored = api.open_image(folder.parent / "restored" / "a.zarr")
    np.testing.assert_array_equal(stored.data[...], expected)
    click(qtbot, box.report)
    assert dock.batch.ending.report is not None and "broken" in dock.batch.ending.report.page.toPlainText()
    dock.batch.ending.report.close()
    click(qtbot, box.list)
    until_rest(qtbot, dock)
    assert table(dock)["a.zarr"] == "done"
    shutil.rmtree(folder.parent / "restored" / "b.zarr")
    dock.performance.tile.setValue(104)
    dock.performance.tile.editingFinished.emit()
    click(qtbot, box.list)
    until_rest(qtbot, dock)
    assert table(dock)["b.zarr"] == "waiting" and table(dock)["a.zarr"].endswith("or tick Replace to replace it.")


def test_a_batch_is_cancelled_and_resumed(qtbot: Any, dock: RestoreDock, folder: Path) -> None:
    (folder / "broken.tif").unlink()
    planes = np.random.default_rng(0).poisson(100, (30, 75, 110)).astype(np.uint16)
    tifffile.imwrite(folder / "b.tif", planes, metadata={"axes": "ZYX"})
    box = dock.batch.box
    click(qtbot, box.run)
    qtbot.waitUntil(lambda: table(dock).get("a.zarr") == "done" and "%" in table(dock)["b.zarr"])
    click(qtbot, box.run)
    until_rest(qtbot, dock)
    assert box.line.text().startswith("Cancelled; Run resumes the batch. 2 images: ")
    assert table(dock)["a.zarr"] == "done" and table(dock)["b.zarr"] != "done"
    click(qtbot, box.run)
    until_rest(qtbot, dock)
    assert table(dock) == {"a.zarr": "done", "b.zarr": "done"}


def test_what_is_missing_is_said(qtbot: Any, dock: RestoreDock) -> None:
    box = dock.batch.box
    box.folder.clear()
    click(qtbot, box.run)
    until_rest(qtbot, dock)
    assert "no folder is named for the results" in box.line.text()
    box.sources.clear()
    click(qtbot, box.list)
    until_rest(qtbot, dock)
    assert "no images are named" in box.line.text()


def test_a_closed_dock_widget_asks_whether_the_batch_goes_on(qtbot: Any, dock: RestoreDock, folder: Path) -> None:
    (folder / "broken.tif").unlink()
    planes = np.random.default_rng(0).poisson(100, (30, 75, 110)).astype(np.uint16)
    tifffile.imwrite(folder / "a.tif", planes, metadata={"axes": "ZYX"})
    click(qtbot, dock.batch.box.run)
    qtbot.waitUntil(lambda: "%" in table(dock).get("a.zarr", ""))
    click(qtbot, close_button(dock))
    question = dock.closing.question
    assert question is not None and question.text().startswith("The batch is still being restored.")
    click(qtbot, question.stop)
    qtbot.waitUntil(lambda: not dock.works)
    assert (folder.parent / "restored" / "batch.report.md").is_file()
    assert not (folder.parent / "restored" / "b.zarr").exists()

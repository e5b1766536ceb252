"""Results have short names, are numbered, and can be removed together; the end of a run leads to its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle, until_preflight
from napari import Viewer
from napari._qt.dialogs.qt_notification import NapariQtNotification
from qtpy.QtCore import QObject, QUrl, Slot
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QPushButton

from napari_restore.widgets.dock import RestoreDock

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def small(viewer: Viewer, checkpoints: dict[str, Path]) -> RestoreDock:
    viewer.add_image(np.random.default_rng(0).poisson(100, (75, 110)).astype(np.uint16), name="cells")
    return dock_in(viewer, checkpoints["denoiser"])


def names(viewer: Viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def run(qtbot: Any, dock: RestoreDock) -> None:
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done."


def choose_removal(dock: RestoreDock, title: str) -> None:
    menu = dock.compare.removal.menu()
    assert menu is not None
    (action,) = (each for each in menu.actions() if each.text() == title)
    action.trigger()


def test_older_results_are_numbered_hidden_and_removed_together(qtbot: Any, viewer: Viewer, small: RestoreDock) -> None:
    dock = small
    run(qtbot, dock)
    run(qtbot, dock)  # the same run: it replaces the result
    assert names(viewer) == ["cells", "cells ▸ denoiser"]
    for halo in (16, 24):
        dock.performance.halo.setValue(halo)
        run(qtbot, dock)
    assert names(viewer) == ["cells", "cells ▸ denoiser", "cells ▸ denoiser 2", "cells ▸ denoiser 3"]
    box = dock.compare.comparisons
    assert [box.itemText(i) for i in range(box.count())] == names(viewer)[:0:-1]
    assert [layer.name for layer in viewer.layers if layer.visible] == ["cells ▸ denoiser 3"]
    dock.performance.halo.setValue(16)
    run(qtbot, dock)  # that of number 2 again
    assert len(viewer.layers) == 4
    assert [layer.name for layer in viewer.layers if layer.visible] == ["cells ▸ denoiser 2"]
    click(qtbot, dock.compare.difference)
    qtbot.waitUntil(lambda: len(viewer.layers) == 5)
    choose_removal(dock, "Remove 2 other results")
    qtbot.waitUntil(lambda: names(viewer)[:2] == ["cells", "cells ▸ denoiser 2"] and len(viewer.layers) == 3)
    choose_removal(dock, "Remove this result")
    qtbot.waitUntil(lambda: viewer.layers["cells"].visible and not dock.compare.isEnabled())
    assert names(viewer) == ["cells"]


class Opened(QObject):
    """Takes the place of the program that shows folders."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    @Slot(QUrl)
    def open(self, url: QUrl) -> None:
        self.urls.append(url.toLocalFile())


def notice(text: str) -> NapariQtNotification:
    (found,) = (each for each in NapariQtNotification._instances if text in each.message.text())
    return found


def button(parent: Any, text: str) -> QPushButton:
    (found,) = (each for each in parent.findChildren(QPushButton) if each.text() == text)
    return found


def test_the_end_of_a_run_leads_to_its_report_and_folder(
    qtbot: Any, viewer: Viewer, small: RestoreDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = small
    titles: list[str] = []
    viewer.events.title.connect(lambda event: titles.append(str(viewer.title)))
    before = str(viewer.title)
    to_disk(dock, tmp_path / "out.zarr")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert viewer.title == before and titles[-1] == before
    assert any(title.endswith(f" % · {before}") for title in titles)
    opened = Opened()
    QDesktopServices.setUrlHandler("file", opened, "open")
    try:
        click(qtbot, button(notice("cells: done in "), "Open folder"))
        qtbot.waitUntil(lambda: opened.urls == [str(tmp_path)])
    finally:
        QDesktopServices.unsetUrlHandler("file")
    click(qtbot, button(notice("cells: done in "), "Show report"))
    report = dock.display.ending.report
    assert report is not None and report.isVisible() and "out.zarr" in report.page.toPlainText()
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    click(qtbot, report.pictures)
    assert shown == [Path(f"{tmp_path / 'out.zarr'}.report.html").as_uri()]
    report.close()


def test_says_what_is_being_found_out(
    qtbot: Any, viewer: Viewer, small: RestoreDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_restore.engine.compute.estimate.remembered_tile_seconds", lambda plan: None)
    said: list[str] = []
    looked = small.looking.say
    small.looking.say = lambda text: (said.append(text), looked(text))  # type: ignore[method-assign]
    until_preflight(qtbot, small)
    said.clear()
    small.performance.halo.setValue(16)
    qtbot.waitUntil(lambda: small.looking.isVisible())
    until_preflight(qtbot, small)
    expected = ["Loading libraries…", "Reading a sample of cells…", "Estimating the noise of cells…"]
    expected += ["Measuring the speed of the network…"]
    assert list(dict.fromkeys(filter(None, said))) == expected and said[-1] == ""
    assert not small.looking.isVisible()

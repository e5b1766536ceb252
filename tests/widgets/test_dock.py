from __future__ import annotations

from typing import Any

import pytest
from docks import click, until_idle, until_preflight
from napari import Viewer
from qtpy.QtWidgets import QAbstractButton

from napari_restore.engine.compute import predictor
from napari_restore.widgets.dock import RestoreDock


def test_an_error_brings_every_button_back(qtbot: Any, dock: RestoreDock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("in the middle")

    monkeypatch.setattr("napari_restore.engine.compute.block.restore_region", fail)
    until_preflight(qtbot, dock)
    buttons = [button for button in dock.findChildren(QAbstractButton) if button is not dock.bar.show_details]
    before = [(button.text(), button.isEnabled()) for button in buttons]
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "⚠ ZeroDivisionError: in the middle"
    compare = dock.compare.findChildren(QAbstractButton)  # the layer of what was done so far can be compared
    after = [(button.text(), button.isEnabled()) for button in buttons]
    assert [a for a, button in zip(after, buttons, strict=True) if button not in compare] == [
        b for b, button in zip(before, buttons, strict=True) if button not in compare
    ]
    assert not dock.bar.details.isVisible()
    click(qtbot, dock.bar.show_details)
    assert dock.bar.details.isVisible() and "Traceback" in dock.bar.details.text()


pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_models_are_released_after_the_last_run(
    qtbot: Any, viewer: Viewer, dock: RestoreDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[bool] = []
    release = predictor.release_predictors
    monkeypatch.setattr(predictor, "release_predictors", lambda: (released.append(True), release()))
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    assert not released  # the next preview has its model
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert released

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QEvent, QPoint
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QApplication, QStyleOptionComboBox, QToolTip

from napari_restore.widgets.panels.controls.choice import Choice

LONG = "2026-11-25_sample-A_well-B03_field-017_cycle-2_very_long_file_name_that_never_ends_0001"


@pytest.fixture
def choice(qtbot: Any) -> Choice:
    choice = Choice()
    qtbot.addWidget(choice)
    choice.addItems([LONG, "a"])
    choice.setToolTip("Image layer to restore")
    choice.show()
    return choice


def shown(choice: Choice) -> str:
    option = QStyleOptionComboBox()
    choice.initStyleOption(option)
    return str(option.currentText)


def tooltip(choice: Choice) -> str:
    QApplication.sendEvent(choice, QHelpEvent(QEvent.Type.ToolTip, QPoint(5, 5), choice.mapToGlobal(QPoint(5, 5))))
    return str(QToolTip.text())


def test_a_long_name_is_elided_in_the_middle(choice: Choice) -> None:
    assert choice.minimumSizeHint().width() < 140
    choice.resize(200, 24)
    text = shown(choice)
    assert "…" in text and text.startswith("2026") and text.endswith("0001")
    assert choice.currentText() == LONG and tooltip(choice) == f"{LONG}\nImage layer to restore"
    choice.resize(1200, 24)
    assert shown(choice) == LONG


def test_a_short_one_is_shown(choice: Choice) -> None:
    choice.setCurrentIndex(1)
    choice.resize(200, 24)
    assert shown(choice) == "a" and tooltip(choice) == "Image layer to restore"

from __future__ import annotations

import gc
import weakref
from typing import Any

from qtpy.QtWidgets import QPushButton

from napari_restore.widgets.slots import forget, slot


class Owner(QPushButton):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[bool] = []
        self.clicked.connect(slot(self, lambda *_: self.heard.append(True)))


def test_a_widget_whose_signal_calls_a_function_of_itself_is_freed(qtbot: Any) -> None:
    owner = Owner()
    owner.click()
    assert owner.heard == [True]
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_what_is_forgotten_is_not_called(qtbot: Any) -> None:
    owner = Owner()
    forget(owner)
    gc.collect()
    owner.click()
    assert owner.heard == []

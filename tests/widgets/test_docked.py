"""A dock widget opens in steps, and is whole as soon as somebody asks for a part."""

from __future__ import annotations

from typing import Any

import pytest
from docks import close_button
from napari import Viewer

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def opening(viewer: Viewer) -> Any:
    return viewer.window.add_plugin_dock_widget("napari-restore", "Denoise")[1]


def test_it_is_docked_before_its_parts_are_made(qtbot: Any, viewer: Viewer, stack: Any) -> None:
    viewer.add_image(stack, name="cells")
    dock = opening(viewer)
    assert not dock.opened and "form" not in vars(dock)
    qtbot.waitUntil(lambda: dock.opened)
    assert all(name in vars(dock) for name in dock.parts)
    assert {"form", "bar", "compare", "tools", "pages"} < dock.parts
    assert all(box.isVisible() for box in dock.form.boxes) and dock.bar.isVisible()
    # It has the whole height of its place, and not what napari leaves to an empty widget.
    assert dock.pages.height() > 0.9 * dock.height() and dock.pages.y() < 20


def test_a_part_that_is_asked_for_is_there(qtbot: Any, viewer: Viewer) -> None:
    dock = opening(viewer)
    assert dock.model.model() and dock.opened
    qtbot.waitUntil(dock.bar.isVisible)
    with pytest.raises(AttributeError, match="'no_such_part'"):
        dock.no_such_part  # noqa: B018


def test_it_can_be_closed_while_it_opens(qtbot: Any, viewer: Viewer, stack: Any) -> None:
    viewer.add_image(stack, name="cells")
    dock = opening(viewer)
    close_button(dock).click()
    qtbot.wait(300)
    viewer.layers.remove("cells")  # nothing of it follows the viewer
    assert not dock.works

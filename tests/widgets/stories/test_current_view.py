"""The region on screen: as the screen shows it, at every zoom, for every kind of layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, until_idle
from napari import Viewer
from numpy.typing import NDArray

from napari_restore.widgets.dock import RestoreDock

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HEIGHT, WIDTH = 170, 230
ZOOMS = (0.3, 0.9, 1.3, 2.7, 7.0, 25.0)
"""Of the zoom at which the whole layer fits."""


def coordinates() -> NDArray[np.uint8]:
    """An image whose colours say which pixel they are: row, column, and that there is one at all."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([y, x, np.full_like(y, 255)], axis=-1).astype(np.uint8)


def pyramid(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """A large pyramid: each pixel is repeated, so that coarser levels are shown at small zooms."""
    large = image.repeat(8, 0).repeat(8, 1)
    return [large, large[::2, ::2], large[::4, ::4], large[::8, ::8]]


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scaled": {"scale": (0.3, 0.65), "translate": (-40, 1000)},
    "rotated": {"rotate": 33.0, "scale": (2.0, 1.0)},
    "sheared": {"shear": [0.4]},
    "flipped": {"scale": (-1.0, 1.0)},
}


def on_screen(viewer: Viewer) -> tuple[int, int, int, int]:
    """First and last row and column that a screenshot shows."""
    picture = np.asarray(viewer.screenshot(canvas_only=True, flash=False))
    seen = picture[picture[..., 2] > 250]
    return (
        *(int(n) for n in (seen[:, 0].min(), seen[:, 0].max())),
        *(int(n) for n in (seen[:, 1].min(), seen[:, 1].max())),
    )


def edges(dock: RestoreDock) -> NDArray[np.int64]:
    """First and last row and column of the region."""
    rows, columns, _ = dock.input.region("view")
    return np.array([rows.start, rows.stop - 1, columns.start, columns.stop - 1])


def settled(qtbot: Any, viewer: Viewer) -> None:
    qtbot.wait(60)
    viewer.screenshot(canvas_only=True, flash=False)


@pytest.mark.parametrize("multiscale", [False, True], ids=["plain", "multiscale"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_region_is_what_the_screen_shows(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], kind: str, multiscale: bool
) -> None:
    data: Any = pyramid(coordinates()) if multiscale else coordinates()
    factor = 8 if multiscale else 1
    layer = viewer.add_image(
        data, name="cells", rgb=True, multiscale=multiscale, interpolation2d="nearest", **KINDS[kind]
    )
    dock = dock_in(viewer, checkpoints["colour_denoiser"])
    qtbot.wait(300)
    viewer.reset_view()
    camera = viewer.scene.camera
    whole, middle = camera.zoom, np.asarray(camera.center, float)
    height, width = viewer.canvas.size
    for zoom in ZOOMS:
        camera.zoom = whole * zoom
        # To one side, but for the layer still to be in view.
        camera.center = middle + np.array([0, 0.1 * height, 0.2 * width]) / whole
        settled(qtbot, viewer)
        shown = on_screen(viewer)
        found = edges(dock) / factor
        # A screen pixel at the edge, and at a coarse level a pixel of that level.
        slack = 1.01 + 8 / factor * multiscale + 1 / (camera.zoom * min(map(abs, layer.scale)))
        assert np.abs(found - shown).max() <= slack, (zoom, found, shown)


def test_a_zoom_is_followed_by_the_region_that_is_shown(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]
) -> None:
    viewer.add_image(pyramid(coordinates()), name="cells", rgb=True, multiscale=True)
    dock = dock_in(viewer, checkpoints["colour_denoiser"])
    dock.input.regions.setCurrentIndex(1)
    qtbot.waitUntil(lambda: bool(dock.input.extent.text()))
    shown = [dock.input.extent.text()]
    for _ in range(4):
        viewer.scene.camera.zoom *= 2
        qtbot.waitUntil(lambda: dock.input.extent.text() != shown[-1])
        shown.append(dock.input.extent.text())
    viewer.window.resize(1100, 500)
    qtbot.waitUntil(lambda: dock.input.extent.text() != shown[-1])


@pytest.mark.parametrize("rotate", [0.0, 45.0])
def test_a_layer_that_is_not_on_screen_says_so(qtbot: Any, viewer: Viewer, dock: RestoreDock, rotate: float) -> None:
    cells = viewer.layers["cells"]
    cells.rotate = (0.0, 0.0, rotate)
    viewer.reset_view()
    camera = viewer.scene.camera
    # Beside a corner: the rectangle around a rotated layer still overlaps with the view.
    corner = np.asarray(cells.data_to_world((1, -0.5, -0.5)))[-2:]
    camera.zoom *= 20
    camera.center = (0.0, *(corner + np.array([0 if rotate else -500, -10])))
    dock.input.regions.setCurrentIndex(1)
    qtbot.waitUntil(lambda: "cells is not on screen" in dock.input.extent.text())
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "⚠ Not possible: see ⚠ above." and len(viewer.layers) == 1
    click(qtbot, dock.bar.run)
    assert dock.bar.line.text() == "⚠ Not possible: see ⚠ above." and len(viewer.layers) == 1
    viewer.reset_view()  # the advice
    qtbot.waitUntil(lambda: dock.input.extent.text().startswith("Z 1 · Y 0"))
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    assert len(viewer.layers) == 2


def test_sliders_where_the_layer_is_not(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    viewer.add_image(np.zeros((9, 75, 110), np.uint16), name="deeper", scale=(2.0, 0.5, 0.5))
    dock.input.choose("cells")
    viewer.dims.set_current_step(0, 7)
    for index in (1, 3):
        dock.input.regions.setCurrentIndex(index)
        qtbot.waitUntil(lambda: "the slider is at Z 7, and cells has Z 0–2" in dock.input.extent.text())
    click(qtbot, dock.bar.preview)
    assert dock.bar.line.text() == "⚠ Not possible: see ⚠ above."
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: dock.input.extent.text().startswith("Z 2"))


def test_another_plane_than_that_of_rows_and_columns(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    dock.input.regions.setCurrentIndex(1)
    viewer.dims.order = (1, 0, 2)
    qtbot.waitUntil(lambda: "the canvas shows Z and X of cells" in dock.input.extent.text())
    viewer.dims.order = (0, 2, 1)  # rows and columns swapped are as good
    qtbot.waitUntil(lambda: dock.input.extent.text().startswith("Z 1 · Y 0"))


def test_units_of_layers_may_differ(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    viewer.add_image(np.zeros((90, 120), np.uint8), name="in um", scale=(0.1, 0.1), units=("um", "um"))
    viewer.add_image(np.zeros((90, 120), np.uint8), name="in nm", scale=(100, 100), units=("nm", "nm"))
    dock = dock_in(viewer, checkpoints["denoiser"])
    qtbot.wait(300)
    viewer.reset_view()
    viewer.scene.camera.zoom *= 4
    settled(qtbot, viewer)
    found = []
    for name in ("in um", "in nm"):
        dock.input.choose(name)
        found.append(dock.input.region("view"))
    assert found[0] == found[1] and 0 < found[0][0].start < found[0][0].stop < 90


def test_a_cell_of_the_grid_is_what_is_on_screen(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    for name in "ab":
        viewer.add_image(coordinates(), name=name, rgb=True)
    dock = dock_in(viewer, checkpoints["colour_denoiser"])
    viewer.canvas.grid.enabled = True
    qtbot.wait(300)
    viewer.reset_view()
    viewer.scene.camera.zoom *= 3
    settled(qtbot, viewer)
    top, bottom, left, right = on_screen(viewer)
    rows, columns, _ = dock.input.region("view")
    assert (
        np.abs(
            np.array([rows.start - top, rows.stop - 1 - bottom, columns.start - left, columns.stop - 1 - right])
        ).max()
        <= 1
    )

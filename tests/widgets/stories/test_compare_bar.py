"""The bar on the canvas: both sides by name, what was removed, and how it is to be judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canvas import all_in_view, canvas_of
from docks import click, dock_in, until_idle
from napari import Viewer

from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.jobs.compare.figures import Figure, Measures
from napari_restore.widgets.viewer.compare.compare_tools import HOLD_KEY

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def compared(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> RestoreDock:
    viewer.add_image(np.random.default_rng(0).poisson(100, (75, 110)).astype(np.uint16), name="cells")
    dock = dock_in(viewer, checkpoints["denoiser"])
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    return dock


def test_names_histogram_figures_and_a_sentence(qtbot: Any, viewer: Viewer, compared: RestoreDock) -> None:
    bar = compared.comparing.bar
    assert bar.frame is not None and bar.frame.isVisible()
    canvas = canvas_of(compared)
    assert bar.frame.parent().rect().contains(bar.frame.geometry())
    assert bar.source.text() == "◀ cells" and bar.result.text() == "denoiser ▶"
    # The pixels on screen: the canvas does not show the whole layer.
    assert bar.histogram.isVisible() and bar.histogram.counts.sum() > 0.5 * viewer.layers["cells"].data.size
    said = bar.figures.text()
    assert "Whiteness" in said and "Structure" in said and ("✓" in said or "?" in said)
    assert bar.sentence.text().endswith(".")
    # A held key shows the source alone, and the bar says so.
    qtbot.keyPress(canvas, HOLD_KEY)
    assert bar.source.font().bold() and not bar.result.isEnabled()
    qtbot.keyRelease(canvas, HOLD_KEY)
    assert not bar.source.font().bold() and bar.result.isEnabled()


def test_it_is_closed_opened_and_goes_with_the_result(qtbot: Any, viewer: Viewer, compared: RestoreDock) -> None:
    bar = compared.comparing.bar
    assert bar.frame is not None
    click(qtbot, bar.close)
    assert not bar.frame.isVisible()
    click(qtbot, compared.compare.measure)
    qtbot.waitUntil(lambda: bar.frame.isVisible() and not compared.works)
    assert compared.compare.figures.text().count("<b>") >= 2
    width = bar.frame.width()
    viewer.window.resize(900, 700)
    qtbot.waitUntil(lambda: bar.frame.width() < width)
    several = Measures(tuple(4 * [Figure("Whiteness 0.01", "", True)]), "What was removed. " * 6, np.arange(9), 1.0)
    bar.show_measures(several)
    for label in (bar.figures, bar.sentence):  # nothing is cut off
        qtbot.waitUntil(lambda label=label: label.height() >= label.heightForWidth(label.width()))  # type: ignore[misc]
    assert bar.frame.parent().rect().contains(bar.frame.geometry())
    viewer.layers.remove("cells ▸ denoiser")
    qtbot.waitUntil(lambda: not bar.frame.isVisible())
    compared.close()
    assert bar.frame is None


def test_figures_are_those_of_the_plane_on_screen(
    qtbot: Any, viewer: Viewer, dock: RestoreDock, stack: np.ndarray
) -> None:
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    all_in_view(qtbot, viewer)
    until_idle(qtbot, dock)
    bar, compare, view = dock.comparing.bar, dock.compare, viewer.scene.camera
    (result,) = dock.results.layers

    def is_of(plane: int) -> bool:
        """Whether histogram and figures are those of this plane."""
        removed = stack[plane].astype(float) - result.data[plane]
        counts = np.histogram(removed, bar.histogram.counts.size, (-4 * removed.std(), 4 * removed.std()))[0]
        return bar.figures.isEnabled() and np.array_equal(bar.histogram.counts, counts)

    for plane in (2, 0):
        before = bar.figures.text()
        viewer.dims.set_current_step(0, plane)
        assert not bar.figures.isEnabled() and bar.figures.text() == before  # pale: those of the plane before
        qtbot.waitUntil(lambda plane=plane: is_of(plane))  # type: ignore[misc]
    # Those in the dock widget too, once they were asked for.
    click(qtbot, compare.measure)
    qtbot.waitUntil(lambda: compare.figures.text() != "" and not dock.works)
    first = compare.figures.text()
    viewer.dims.set_current_step(0, 2)
    assert not compare.figures.isEnabled()
    qtbot.waitUntil(compare.figures.isEnabled)
    assert compare.figures.text() != first and is_of(2)
    # And of the part of it.
    whole = bar.histogram.counts.sum()
    view.zoom *= 2
    qtbot.waitUntil(lambda: bar.figures.isEnabled() and bar.histogram.counts.sum() < whole)
    # Where nothing of the result is on screen, there are none.
    view.center = (0, 5000, 5000)
    qtbot.waitUntil(lambda: not bar.figures.text() and compare.figures.isHidden())
    all_in_view(qtbot, viewer)
    qtbot.waitUntil(lambda: bar.figures.text() != "" and compare.figures.isHidden())
    # The 3-D view shows no plane.
    height = bar.frame.height()
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: not bar.figures.text())
    assert bar.frame.height() < 0.7 * height and bar.source.isVisible()  # the names alone, and no empty lines
    viewer.dims.ndisplay = 2
    qtbot.waitUntil(lambda: bar.figures.text() != "" and is_of(2))

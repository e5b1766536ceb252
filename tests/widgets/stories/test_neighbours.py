"""Neighbouring planes in the dock widgets: the choice, the preview, and the map of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from docks import click, dock_in, to_disk, until_idle, until_preflight
from napari import Viewer
from numpy.typing import NDArray

from napari_restore import api
from napari_restore.engine.planning.settings.neighbours import Neighbours
from napari_restore.widgets.dock import RestoreDock

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def stack() -> NDArray[np.uint16]:
    """Four planes: the left half is still, the right half shows something else each time."""
    rng = np.random.default_rng(0)
    scenes = [np.kron(rng.uniform(10, 90, (9, 12)), np.ones((8, 8))) for _ in range(4)]
    planes = [np.where(np.arange(96) < 48, scenes[0], scene) for scene in scenes]
    return rng.poisson(planes).astype(np.uint16)


@pytest.fixture(params=["time", "z"])
def opened(request: pytest.FixtureRequest, viewer: Viewer, checkpoints: dict[str, Path]) -> RestoreDock:
    axis = request.param
    viewer.add_image(stack(), name="cells", scale=(2.0, 0.5, 0.5), axis_labels=(axis, "y", "x"))
    return dock_in(viewer, checkpoints["denoiser"])


def test_choice_preview_and_map(qtbot: Any, viewer: Viewer, opened: RestoreDock, tmp_path: Path) -> None:
    edit, letter = opened.output.neighbours, opened.input.letters()[0]
    until_preflight(qtbot, opened)
    assert edit.value() is None and edit.axis.currentText() == "auto (none)"  # the task of a checkpoint is unknown
    assert "unknown; name an axis" in edit.found.text() and not edit.map.isEnabled()
    edit.axis.setCurrentIndex(edit.axis.findData(letter))
    assert opened.preflight is None and edit.value() == Neighbours(axis=letter)
    until_preflight(qtbot, opened)
    assert edit.found.text().startswith(f"{letter}: ") and "of 4 planes agree; noise falls to 0." in edit.found.text()

    to_disk(opened, tmp_path / "out.zarr")
    until_preflight(qtbot, opened)
    click(qtbot, opened.bar.run)
    until_idle(qtbot, opened)
    stored = np.asarray(zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")[...])
    plan = api.plan(stack(), axes=f"{letter}YX", model=opened.model.model() or "", tile=96, halo=8, neighbours=letter)
    assert plan.fuses and not np.array_equal(stored, api.part(plan.with_settings(neighbours=Neighbours(axis="none")), (
        slice(0, 4), slice(0, 72), slice(0, 96))))  # fmt: skip

    viewer.dims.set_current_step(0, 1)
    opened.output.place.setCurrentIndex(0)
    until_preflight(qtbot, opened)
    click(qtbot, opened.bar.preview)
    until_idle(qtbot, opened)
    preview = viewer.layers["preview · cells ▸ denoiser"]
    start = np.round(viewer.layers["cells ▸ denoiser"].world_to_data(preview.translate)).astype(int)
    assert start[0] == 1 and preview.data.size > 3000
    on_screen = tuple(map(slice, start, start + preview.data.shape))
    np.testing.assert_array_equal(preview.data, stored[on_screen])

    source = viewer.layers["cells"]
    viewer.layers.selection.active = source
    click(qtbot, edit.map)
    qtbot.waitUntil(lambda: "neighbours · cells" in viewer.layers)
    shown = viewer.layers["neighbours · cells"]
    assert viewer.layers.selection.active is source and opened.input.layer() is source
    np.testing.assert_allclose(shown.translate, preview.translate)
    whole = api.neighbour_weights(plan, (slice(0, 4), slice(0, 72), slice(0, 96)))
    np.testing.assert_array_equal(shown.data, whole[on_screen])
    assert whole[1, :, 4:40].mean() > 3 * whole[1, :, 56:92].mean()
    viewer.dims.set_current_step(0, 2)  # it follows the sliders
    qtbot.waitUntil(lambda: shown.translate[0] == 4.0)
    click(qtbot, edit.map)
    assert "neighbours · cells" not in viewer.layers and not opened.weights.on


def test_a_map_that_is_removed_is_off(qtbot: Any, viewer: Viewer, opened: RestoreDock) -> None:
    edit = opened.output.neighbours
    edit.axis.setCurrentIndex(edit.axis.findData(opened.input.letters()[0]))
    until_preflight(qtbot, opened)
    click(qtbot, edit.map)
    qtbot.waitUntil(lambda: "neighbours · cells" in viewer.layers)
    viewer.layers.remove("neighbours · cells")
    viewer.dims.set_current_step(0, 3)
    qtbot.waitUntil(lambda: not edit.map.isChecked())
    assert not opened.weights.on and "neighbours · cells" not in viewer.layers


def test_a_single_plane_has_none(qtbot: Any, opened: RestoreDock) -> None:
    edit, region = opened.output.neighbours, opened.input.regions
    edit.axis.setCurrentIndex(edit.axis.findData(opened.input.letters()[0]))
    region.setCurrentIndex(region.findData("planes"))
    until_preflight(qtbot, opened)
    assert "single plane" in edit.found.text() and not edit.map.isEnabled()
    region.setCurrentIndex(region.findData("whole"))  # as the message says
    until_preflight(qtbot, opened)
    assert "planes agree" in edit.found.text()

"""From a layer to a preview and a result, by the real controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from docks import click, dock_in, until_idle, until_preflight
from napari import Viewer

from napari_restore.widgets.dock import RestoreDock, SuperResolutionDock


def test_says_what_the_layer_is_and_what_the_run_takes(qtbot: Any, dock: RestoreDock) -> None:
    assert dock.input.description.text() == "Z 3 · Y 75 · X 110, uint16, 49.5 kB, numpy"
    until_preflight(qtbot, dock)
    assert "49.5 kB to memory" in dock.output.cost.text()
    assert dock.verdict.change.text().startswith("Will change: 3 planes, 49.5 kB → memory, about ")
    assert dock.verdict.change.text().endswith(" on cpu.")
    assert float(dock.output.low.placeholderText()) < float(dock.output.high.placeholderText())
    assert "Noise here: σ" in dock.verdict.verdict.toolTip()


def test_run_in_memory_equals_the_api(qtbot: Any, viewer: Viewer, dock: RestoreDock, stack: np.ndarray) -> None:
    from napari_restore import api

    click(qtbot, dock.bar.run)
    assert dock.bar.run.text() == "Cancel" and not dock.bar.preview.isEnabled()
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done." and dock.bar.run.text() == "Run"
    model = dock.model.model()
    assert model is not None
    expected = api.denoise(stack, axes="ZYX", model=model, tile=96, halo=8)
    np.testing.assert_array_equal(viewer.layers["cells ▸ denoiser"].data, expected)


def test_preview_shows_the_pixels_of_a_run(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    whole = viewer.layers["cells ▸ denoiser"]
    viewer.layers["cells"].visible = True
    viewer.scene.camera.zoom = 20
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(300)
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    preview = viewer.layers["preview · cells ▸ denoiser"]
    assert preview.data.shape[0] == 1 and preview.data.size < whole.data[0].size
    start = np.round(whole.world_to_data(preview.translate)).astype(int)
    stop = start + preview.data.shape
    np.testing.assert_array_equal(preview.data, whole.data[tuple(map(slice, start, stop))])


def test_super_resolution_lies_on_its_source(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    viewer.add_image(np.random.default_rng(0).random((40, 50)).astype(np.float32), name="plane", scale=(0.5, 0.25))
    dock = dock_in(viewer, checkpoints["upscaler"], SuperResolutionDock)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    result = viewer.layers["plane ▸ upscaler"]
    assert result.data.shape == (80, 100) and result.data.dtype == np.float32
    np.testing.assert_allclose(result.scale, (0.25, 0.125))
    np.testing.assert_allclose(result.translate, (-0.125, -0.0625))

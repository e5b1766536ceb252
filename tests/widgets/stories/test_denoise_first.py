"""Denoising before super-resolution in the dock widget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, until_idle, until_preflight
from napari import Viewer

from napari_restore import api
from napari_restore.widgets.dock import SuperResolutionDock
from napari_restore.widgets.jobs.job import Choices

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_the_choice_is_shown_and_preview_and_run_are_equal(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]
) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:80, :96]
    plane = (np.sin(y / 9) ** 2 * np.cos(x / 7) ** 2 + 0.05 * rng.normal(size=(80, 96))).astype(np.float32)
    viewer.add_image(plane, name="plane", axis_labels=("y", "x"))
    dock = dock_in(viewer, checkpoints["upscaler"], SuperResolutionDock)
    edit = dock.model.denoise
    assert edit.value() == "none"
    edit.native.setCurrentIndex(edit.native.findData("auto"))
    until_preflight(qtbot, dock)
    assert edit.native.currentText() == f"auto ({api.DENOISER})"
    assert dock.model.denoiser.text().startswith("As the noise is ")

    file = str(checkpoints["denoiser"])
    dock.form.show_choices(Choices.of(str(checkpoints["upscaler"]), denoise=file, tile=96, halo=8))
    assert edit.value() == file and dock.choices().recipe.denoise == file
    until_preflight(qtbot, dock)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    result = viewer.layers["plane ▸ denoiser + upscaler"]
    settings: dict[str, Any] = {"axes": "YX", "denoise": file, "tile": 96, "halo": 8}
    expected = api.super_resolve(plane, model=checkpoints["upscaler"], **settings)
    np.testing.assert_array_equal(result.data, expected)
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    preview = viewer.layers["preview · plane ▸ denoiser + upscaler"]
    start = np.round(result.world_to_data(preview.translate)).astype(int)
    on_screen = tuple(map(slice, start, start + preview.data.shape))
    np.testing.assert_array_equal(preview.data, result.data[on_screen])

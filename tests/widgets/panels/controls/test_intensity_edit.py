from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import dock_in, until_preflight
from napari import Viewer
from qtpy.QtCore import Qt

from napari_restore.widgets.jobs.advice.verdict import VALUES


def test_the_noise_of_the_camera(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    ramp = np.tile(np.linspace(5, 300, 200), (200, 1))
    pixels = np.rint(100 + 4 * np.random.default_rng(0).poisson(ramp)).astype(np.uint16)
    viewer.add_image(pixels, name="photons")
    dock = dock_in(viewer, checkpoints["denoiser"])
    edit = dock.output.intensity
    until_preflight(qtbot, dock)
    assert edit.kind.currentText() == "Auto: percentiles" and edit.noise.isHidden()
    edit.kind.setCurrentText(VALUES["poisson-gaussian"])  # as advice names it
    until_preflight(qtbot, dock)
    assert edit.kind.currentText() == "Camera noise"
    assert dock.preflight is not None and dock.choices().recipe.intensity == "poisson-gaussian"
    ((gain, _, _),) = dock.preflight.plan.recipe.noise
    assert gain == pytest.approx(4, rel=0.15) and edit.noise.placeholderText().startswith(f"{gain:.3g}, ")
    qtbot.keyClicks(edit.noise, "4, 100")
    qtbot.keyClick(edit.noise, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "'4, 100' is not three numbers" in dock.output.cost.text())
    qtbot.keyClicks(edit.noise, ", 2.5")
    qtbot.keyClick(edit.noise, Qt.Key.Key_Return)
    until_preflight(qtbot, dock)
    assert dock.preflight.plan.recipe.noise == ((4.0, 100.0, 2.5),)
    # What was chosen comes back from a recipe.
    chosen = dock.choices()
    edit.set_kind(None)
    edit.set_noise(None)
    assert dock.choices().recipe.noise is None and edit.noise.isHidden()
    dock.form.show_choices(chosen)
    assert dock.choices() == chosen and not edit.noise.isHidden()

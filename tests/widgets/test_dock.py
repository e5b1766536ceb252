"""The dock widgets in a real window, by their real controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, objects, to_disk, until_idle, until_looked
from napari import Viewer
from qtpy.QtWidgets import QAbstractButton, QApplication

from napari_restore.images.store import place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.widgets import dock as dock_module
from napari_restore.widgets.dock import RestoreDock, SuperResolutionDock


def test_says_what_the_layer_is_and_what_the_run_takes(qtbot: Any, dock: RestoreDock) -> None:
    assert dock.input.description.text() == "Z 3 · Y 75 · X 110, uint16, 49.5 kB, numpy"
    qtbot.waitUntil(lambda: dock.look is not None, timeout=60_000)
    assert "49.5 kB to memory" in dock.output.cost.text() and "on cpu" in dock.output.cost.text()
    assert float(dock.output.low.placeholderText()) < float(dock.output.high.placeholderText())
    assert "Noise here: σ" in dock.model.noise.text()


def test_axes_are_checked_as_typed(qtbot: Any, dock: RestoreDock) -> None:
    dock.input.axes.clear()
    qtbot.keyClicks(dock.input.axes, "ZX")
    assert dock.input.description.text().startswith("⚠") and "ZX" in dock.input.description.text()
    click(qtbot, dock.bar.run)
    assert dock.bar.line.text().startswith("⚠") and dock.bar.state == "idle"
    dock.input.axes.clear()
    qtbot.keyClicks(dock.input.axes, "tyx")
    assert dock.input.description.text().startswith("T 3")


def test_run_in_memory_equals_the_api(qtbot: Any, viewer: Viewer, dock: RestoreDock, stack: np.ndarray) -> None:
    from napari_restore import api

    click(qtbot, dock.bar.run)
    assert dock.bar.run.text() == "Cancel" and not dock.bar.preview.isEnabled()
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done." and dock.bar.run.text() == "Run"
    model = dock.model.model()
    assert model is not None
    expected = api.denoise(stack, axes="ZYX", model=model, tile=96, halo=8)
    np.testing.assert_array_equal(viewer.layers["cells · denoiser"].data, expected)


def test_preview_shows_the_pixels_of_a_run(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    whole = viewer.layers["cells · denoiser"]
    viewer.layers["cells"].visible = True
    viewer.scene.camera.zoom = 20
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(300)
    click(qtbot, dock.bar.preview)
    until_idle(qtbot, dock)
    preview = viewer.layers["preview · cells · denoiser"]
    assert preview.data.shape[0] == 1 and preview.data.size < whole.data[0].size
    start = np.round(whole.world_to_data(preview.translate)).astype(int)
    stop = start + preview.data.shape
    np.testing.assert_array_equal(preview.data, whole.data[tuple(map(slice, start, stop))])


def test_super_resolution_lies_on_its_source(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    viewer.add_image(np.random.default_rng(0).random((40, 50)).astype(np.float32), name="plane", scale=(0.5, 0.25))
    dock = dock_in(viewer, checkpoints["upscaler"], SuperResolutionDock)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    result = viewer.layers["plane · upscaler"]
    assert result.data.shape == (80, 100) and result.data.dtype == np.float32
    np.testing.assert_allclose(result.scale, (0.25, 0.125))
    np.testing.assert_allclose(result.translate, (-0.125, -0.0625))


@pytest.mark.parametrize("replace", [False, True])
def test_cancel_then_resume_ends_with_the_same_bytes(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path, replace: bool
) -> None:
    def landed() -> list[int]:
        """Planes that are stored: workers may end them in any order."""
        return [int(t) for t in np.argwhere(ome_zarr.stored_units(tmp_path / "parts.zarr", 0))[:, 0]]

    planes = np.random.default_rng(0).poisson(100, (12, 90, 90)).astype(np.uint16)
    viewer.add_image(planes, name="movie", axis_labels=("t", "y", "x"))
    dock = dock_in(viewer, checkpoints["denoiser"])
    to_disk(dock, tmp_path / "whole.zarr")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done."
    to_disk(dock, tmp_path / "parts.zarr")
    dock.output.overwrite.setChecked(replace)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: (tmp_path / "parts.zarr").exists() and bool(landed()), timeout=60_000)
    click(qtbot, dock.bar.run)
    assert dock.bar.run.text() == "Cancelling…" and not dock.bar.run.isEnabled()
    until_idle(qtbot, dock)
    assert dock.bar.line.text().startswith("Cancelled")
    # What has landed is seen, and not what napari remembers of the empty output.
    layer = viewer.layers["movie · denoiser"]
    assert 0 < len(landed()) < 12
    for plane in landed():
        assert np.asarray(layer.data[plane]).std() > 0
    qtbot.waitUntil(lambda: dock.bar.run.text() == "Resume", timeout=60_000)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert objects(tmp_path / "parts.zarr") == objects(tmp_path / "whole.zarr")


def test_an_error_brings_every_button_back(qtbot: Any, dock: RestoreDock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("in the middle")

    monkeypatch.setattr("napari_restore.engine.compute.block.restore_region", fail)
    until_looked(qtbot, dock)
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


def test_closing_the_window_ends_the_run_resumably(
    qtbot: Any, make_napari_viewer: Any, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    def open_dock() -> tuple[Viewer, RestoreDock]:
        viewer = make_napari_viewer(show=True)
        viewer.add_image(planes, name="long")
        return viewer, dock_in(viewer, checkpoints["denoiser"])

    def stored() -> np.ndarray:
        return ome_zarr.stored_units(tmp_path / "o.zarr", 0)

    planes = np.random.default_rng(0).poisson(100, (12, 90, 90)).astype(np.uint16)
    viewer, dock = open_dock()
    to_disk(dock, tmp_path / "o.zarr")
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: (tmp_path / "o.zarr").exists() and stored().any(), timeout=60_000)
    work = dock.works["run"]
    viewer.close()
    assert work.stopping.is_set()
    qtbot.waitUntil(work.finished.is_set, timeout=60_000)
    assert 0 < stored().sum() < 12
    assert place_of(tmp_path / "o.zarr").sweep() == 0
    _, dock = open_dock()
    to_disk(dock, tmp_path / "o.zarr")
    qtbot.waitUntil(lambda: dock.bar.run.text() == "Resume", timeout=60_000)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    to_disk(dock, tmp_path / "whole.zarr")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert objects(tmp_path / "o.zarr") == objects(tmp_path / "whole.zarr")


def test_the_call_is_copied(qtbot: Any, dock: RestoreDock, tmp_path: Path) -> None:
    to_disk(dock, tmp_path / "o.zarr")
    dock.recipes.copy_python()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    text = clipboard.text()
    compile(text, "copied", "exec")
    assert "api.restore(image" in text and "tile=96" in text and "halo=8" in text


def test_settings_survive_saving_and_loading(dock: RestoreDock, tmp_path: Path) -> None:
    from napari_restore.widgets.jobs.calls import load_recipe, save_recipe

    dock.output.low.setText("90")
    dock.output.high.setText("900")
    to_disk(dock, tmp_path / "o.zarr")
    chosen = dock.choices()
    save_recipe(chosen, tmp_path / "recipe.json")
    dock.output.low.clear()
    dock.output.high.clear()
    dock.performance.tile.setValue(0)
    dock.form.show_choices(load_recipe(tmp_path / "recipe.json"))
    assert dock.choices() == chosen
    assert dock_module.LOOK_AFTER > 0

"""Runs that are cancelled, or whose window is closed, and go on later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, objects, to_disk, until_idle
from napari import Viewer

from napari_restore.images.store import place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.widgets.dock import RestoreDock


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
    qtbot.waitUntil(lambda: (tmp_path / "parts.zarr").exists() and bool(landed()))
    click(qtbot, dock.bar.run)
    assert dock.bar.run.text() == "Cancelling…" and not dock.bar.run.isEnabled()
    until_idle(qtbot, dock)
    assert dock.bar.line.text().startswith("Cancelled")
    # What has landed is seen, and not what napari remembers of the empty output.
    layer = viewer.layers["movie ▸ denoiser"]
    assert 0 < len(landed()) < 12
    for plane in landed():
        assert np.asarray(layer.data[plane]).std() > 0
    qtbot.waitUntil(lambda: dock.bar.run.text() == "Resume")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert objects(tmp_path / "parts.zarr") == objects(tmp_path / "whole.zarr")


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
    qtbot.waitUntil(lambda: (tmp_path / "o.zarr").exists() and stored().any())
    work = dock.works["run"]
    viewer.close()
    assert work.stopping.is_set()
    qtbot.waitUntil(work.finished.is_set)
    assert 0 < stored().sum() < 12
    assert place_of(tmp_path / "o.zarr").sweep() == 0
    _, dock = open_dock()
    to_disk(dock, tmp_path / "o.zarr")
    qtbot.waitUntil(lambda: dock.bar.run.text() == "Resume")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    to_disk(dock, tmp_path / "whole.zarr")
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert objects(tmp_path / "o.zarr") == objects(tmp_path / "whole.zarr")

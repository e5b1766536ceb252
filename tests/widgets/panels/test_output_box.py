from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, to_disk, until_idle, until_preflight
from napari import Viewer

from napari_restore.images.store import filesystem
from napari_restore.widgets.dock import RestoreDock
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.layers.image_layers import whole
from napari_restore.widgets.jobs.preflight import make_preflight
from napari_restore.widgets.jobs.run import restore
from napari_restore.widgets.panels.output_box import OutputBox


def test_memory_only_where_it_fits(
    qtbot: Any, dock: RestoreDock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    until_preflight(qtbot, dock)
    assert dock.output.place.model().item(0).isEnabled()
    monkeypatch.setattr("napari_restore.widgets.jobs.preflight._available", lambda: 80_000)
    dock.controller.start_preflight()
    until_preflight(qtbot, dock)
    assert dock.output.cost.text().startswith("⚠ the result takes 49.5 kB, and of 80.0 kB free memory half")
    assert not dock.output.place.model().item(0).isEnabled() and "half" in dock.output.place.toolTip()
    assert "Noise here" in dock.verdict.verdict.toolTip()  # the rest is told all the same
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "⚠ Not possible: see ⚠ above."
    to_disk(dock, tmp_path / "o.zarr")
    until_preflight(qtbot, dock)
    assert dock.output.cost.text().startswith("49.5 kB to disk, ")


def test_an_output_that_is_in_the_way(qtbot: Any, dock: RestoreDock, tmp_path: Path) -> None:
    (tmp_path / "o.zarr").mkdir()
    (tmp_path / "o.zarr" / "mine.txt").write_text("mine")
    to_disk(dock, tmp_path / "o.zarr")
    until_preflight(qtbot, dock)
    assert dock.output.cost.text().startswith("⚠") and "o.zarr" in dock.output.cost.text()


def test_a_typed_url_is_where_the_result_goes(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], stack: np.ndarray
) -> None:
    """An object store has no limit to show; blocks that are there are counted all the same."""
    url = "memory://dock/o.zarr"
    box = OutputBox("denoise")
    qtbot.addWidget(box)
    box.folder = "/data"
    box.place.setCurrentIndex(1)
    box.path.setText(f" {url} ")
    assert box.output() == url
    layer = viewer.add_image(stack, name="cells")
    job = Job.of(layer, "ZYX", whole(layer), Choices.of(str(checkpoints["denoiser"]), tile=96, halo=8, output=url))
    try:
        first = make_preflight(job)
        box.show_preflight(first)
        assert (first.free_bytes, first.stored_blocks, first.obstacle) == (None, 0, "")
        assert box.cost.text().endswith(" to the object store.")
        for _ in restore(job):
            pass
        assert make_preflight(job).stored_blocks == first.plan.blocks
    finally:
        filesystem("memory://dock")[0].rm("/dock", recursive=True)

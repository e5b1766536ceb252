"""How long the window stands still during a run, beside what napari itself takes for a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from docks import click, dock_in, to_disk, until_idle, until_preflight
from heart import Heartbeat
from napari import Viewer

REPEATS = 6
ENOUGH = 2
"""Repeats within the limit: what the code takes is in every repeat, what other programs take is not in all."""
AIM = 0.1
"""Seconds; half of it is hoped for."""
SHARE = 0.75
"""Of the longest gap as napari is given a layer in one go, what a run may reach on a machine that is busy."""


def gap_of_napari(qtbot: Any, viewer: Viewer, shape: tuple[int, int]) -> float:
    """The longest gap as a pyramid like that of a result is added, as a person would in the console."""
    levels = [np.zeros([n // step for n in shape], np.uint16) for step in (1, 2, 4)]
    heart = Heartbeat()
    layer = viewer.add_image(levels, multiscale=True, contrast_limits=(0, 500))
    qtbot.wait(400)
    longest = max(heart.gaps())
    viewer.layers.remove(layer)
    qtbot.wait(200)
    return longest


def test_the_window_stays_alive_during_a_run(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path, record_property: Any
) -> None:
    plane = np.random.default_rng(0).poisson(200, (420, 460)).astype(np.uint16)
    viewer.add_image(plane, name="plane")
    dock = dock_in(viewer, checkpoints["denoiser"])
    naparis, ours = [], []
    for number in range(REPEATS):
        # Beside each other, so that what else the machine does is in both.
        naparis.append(gap_of_napari(qtbot, viewer, plane.shape))
        to_disk(dock, tmp_path / f"{number}.zarr")
        until_preflight(qtbot, dock)
        assert dock.preflight is not None and 60 <= dock.preflight.plan.tiles <= 120, dock.preflight.plan.tiles
        heart = Heartbeat()
        click(qtbot, dock.bar.run)
        until_idle(qtbot, dock)
        ours.append(max(heart.gaps()))
        assert dock.bar.line.text() == "Done." and dock.results.layers[0].multiscale
        within = [run <= max(AIM, SHARE * napari) for run, napari in zip(ours, naparis, strict=True)]
        assert [layer.name for layer in viewer.layers] == ["plane", "plane · denoiser"]  # the next run replaces it
        if sum(within) >= ENOUGH:
            break
    found = {"napari": [round(1000 * gap) for gap in naparis], "run": [round(1000 * gap) for gap in ours]}
    record_property("longest_gaps_ms", found)
    print(found)
    assert sum(within) >= ENOUGH, found

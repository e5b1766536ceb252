from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.compute import speed
from napari_restore.engine.compute.estimate import make_report
from napari_restore.engine.compute.speed import Stopwatch, remember_tile_seconds, remembered_tile_seconds
from napari_restore.engine.planning.plan import Plan

GIVEN: dict[str, Any] = {"tile": 32, "halo": 4, "blend": 8, "valid_range": "all", "fill_values": "none"}


@pytest.fixture
def plan(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plan:
    monkeypatch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path / "cache"))
    image = np.random.default_rng(0).poisson(100, (200, 200)).astype(np.uint16)
    return api.plan(image, model=checkpoints["denoiser"], **GIVEN)


def test_the_time_of_the_latest_run_is_the_estimate_of_the_next(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    assert remembered_tile_seconds(plan) is None
    monkeypatch.setattr(speed, "_LEAST_SECONDS", 0.0)
    for _ in api.run(plan, np.zeros(plan.shape, plan.dtype)):
        pass
    seconds = remembered_tile_seconds(plan)
    assert seconds is not None and 0 < seconds < 10
    assert make_report(plan, timed=False).seconds == seconds * plan.tiles
    remember_tile_seconds(plan, 100, 50.0)
    assert make_report(plan).seconds == 0.5 * plan.tiles


def test_a_part_is_a_measurement_if_it_has_enough_tiles(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_LEAST_SECONDS", 0.0)
    api.part(plan, (slice(0, 8), slice(0, 8)))
    assert remembered_tile_seconds(plan) is None
    seen: list[int] = []
    api.part(plan, (slice(0, 200), slice(0, 200)), after_batch=seen.append)
    assert sum(seen) == plan.tiles and remembered_tile_seconds(plan) is not None


@pytest.mark.parametrize(
    "other", [{"precision": "bfloat16"}, {"lanes": 7}, {"threads": 9}, {"backend": "openvino"}, {"ensemble": 8}]
)
def test_other_settings_have_another_speed(plan: Plan, other: dict[str, Any]) -> None:
    remember_tile_seconds(plan, 100, 50.0)
    assert remembered_tile_seconds(plan.with_settings(**other)) is None
    assert remembered_tile_seconds(plan) == 0.5


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}", '{"key": {}, "seconds": 1}', '{"seconds": -1}', "9"])
def test_a_damaged_file_is_no_measurement(plan: Plan, content: str) -> None:
    remember_tile_seconds(plan, 100, 50.0)
    path = speed._path(speed._key(plan))
    assert json.loads(path.read_text())["seconds"] == 0.5
    path.write_text(content)
    assert remembered_tile_seconds(plan) is None


def test_a_folder_that_cannot_be_written_is_no_error(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    remember_tile_seconds(plan, 100, 50.0)
    assert remembered_tile_seconds(plan) is None


def test_a_stopwatch_counts_from_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 10.0, 12.0, 15.0])
    monkeypatch.setattr(speed, "time", SimpleNamespace(monotonic=lambda: next(now)))
    passed: list[int] = []
    watch = Stopwatch(passed.append)
    for tiles in (0, 2, 3):
        watch(tiles)
    assert (watch.tiles, watch.seconds, passed) == (5, 5.0, [0, 2, 3])

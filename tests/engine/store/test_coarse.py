"""Coarser levels that are made while the run goes on: the same bytes as those made at its end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_files import files

from napari_restore import api
from napari_restore.engine.run.local import build_pyramid, run_blocks
from napari_restore.engine.store import sinks
from napari_restore.engine.store.coarse import CoarseUnits, covered
from napari_restore.errors import OutputError
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.pyramid import downsample

SETTINGS: dict[str, Any] = {"axes": "ZYX", "tile": 64, "halo": 4, "blend": 8, "value_range": (0, 2000)}


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    return np.random.default_rng(0).poisson(300, (2, 150, 530)).astype(np.uint16)


def coarse_files(path: Path) -> set[str]:
    return {name for name in files(path) if "/c/" in name and not name.startswith("0/")}


@pytest.mark.parametrize("shards", [(1, 150, 530), (2, 160, 544), (1, 35, 140), (1, 64, 544), (1, 75, 265)])
def test_levels_are_means_of_the_one_before(
    source: np.ndarray, checkpoints: dict[str, Path], tmp_path: Path, shards: tuple[int, ...]
) -> None:
    output = tmp_path / "out.zarr"
    plan = api.plan(source, model=checkpoints["denoiser"], shards=shards, chunks=shards, **SETTINGS)
    with sinks.OmeZarrSink(plan, output) as sink:
        for _ in run_blocks(plan, sink):
            pass
    made_meanwhile = files(output)
    assert plan.levels == 3 and all(ome_zarr.stored_units(output, level).all() for level in range(3))
    # The way they are made where they are missing at the end has its own path through the store.
    levels = [np.asarray(ome_zarr.open_level(output, level)[...]) for level in range(3)]
    for level in (1, 2):
        np.testing.assert_array_equal(levels[level], downsample(levels[level - 1]))
        shutil.rmtree(output / str(level) / "c")
    with sinks.OmeZarrSink(plan, output) as sink:
        for _ in build_pyramid(sink):
            pass
    assert files(output) == made_meanwhile


def test_they_fill_while_the_run_goes_on(source: np.ndarray, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    shape = {"shards": (1, 40, 140), "chunks": (1, 40, 140), "workers": 2}
    plan = api.plan(source, model=checkpoints["denoiser"], **SETTINGS, **shape)
    events = api.run(plan, tmp_path / "out.zarr")
    next(event for event in events if event.done > plan.blocks * 0.8)
    events.close()
    stored = coarse_files(tmp_path / "out.zarr")
    assert {name[0] for name in stored} == {"1", "2"}
    for _ in api.run(plan, tmp_path / "out.zarr"):  # goes on with those that are there
        pass
    for _ in api.run(plan, tmp_path / "whole.zarr"):
        pass
    whole = files(tmp_path / "whole.zarr")
    assert files(tmp_path / "out.zarr") == whole and stored < coarse_files(tmp_path / "whole.zarr")


def test_nothing_is_read_back_where_a_block_covers_them(
    source: np.ndarray, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a unit is made from stored ones")

    monkeypatch.setattr(sinks, "downsample_unit", refuse)
    api.denoise(source, tmp_path / "out.zarr", model=checkpoints["denoiser"], **SETTINGS)
    assert {name[0] for name in coarse_files(tmp_path / "out.zarr")} == {"1", "2"}


def test_one_that_cannot_be_made_is_left_to_the_end(
    source: np.ndarray, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OutputError("no room")

    settings = SETTINGS | {"shards": (1, 75, 265), "chunks": (1, 75, 265), "model": checkpoints["denoiser"]}
    monkeypatch.setattr(sinks, "downsample_unit", fail)
    with pytest.raises(OutputError, match="no room"):
        api.denoise(source, tmp_path / "out.zarr", **settings)
    assert ome_zarr.stored_units(tmp_path / "out.zarr", 0).all() and not coarse_files(tmp_path / "out.zarr")
    monkeypatch.undo()
    api.denoise(source, tmp_path / "out.zarr", **settings)
    assert ome_zarr.stored_units(tmp_path / "out.zarr", 2).all()


def test_each_unit_is_named_once() -> None:
    counts = [(1, 5, 3), (1, 3, 2), (1, 2, 1)]
    units = CoarseUnits([np.zeros(shape, bool) for shape in counts])
    named = []
    for index in np.ndindex(counts[0]):
        unit = WriteUnit(0, index)
        while above := units.above(unit):
            unit, to_make = above
            assert to_make
            named.append(unit)
    assert sorted(named) == [WriteUnit(level, index) for level in (1, 2) for index in np.ndindex(counts[level])]


def test_what_a_block_covers() -> None:
    block = np.zeros((1, 8, 8), np.uint8)
    found = [unit for unit, _ in covered(WriteUnit(0, (3, 4, 2)), (9, 5, 3), block, 6)]
    assert found == [WriteUnit(1, (3, 2, 1))]  # at the lower right corner; level 2 has columns 0 to 3 in one unit
    assert not list(covered(WriteUnit(0, (0, 0, 0)), (1, 2, 1), block, 6))
    assert [unit.level for unit, _ in covered(WriteUnit(0, (0, 0, 0)), (1, 1, 1), block, 4)] == [1, 2, 3]

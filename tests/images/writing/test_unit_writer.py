from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_restore.errors import OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.unit_writer import UnitWriter

SHAPE = (2, 2, 2, 50, 40)
FIRST = WriteUnit(0, (0, 0, 0, 0, 0))
LAYOUTS = [("0.5", (1, 1, 1, 32, 32)), ("0.5", None), ("0.4", None)]


def make(path: Path | str, **settings: Any) -> UnitWriter:
    known = {"shape": SHAPE, "dtype": "u2", "axes": "TCZYX", "chunks": (1, 1, 1, 16, 32)}
    ome_zarr.create(path, **known | settings)  # type: ignore[arg-type]
    return UnitWriter(path)


def objects(path: Path) -> list[str]:
    """Relative paths of everything in level 0 that is not metadata."""
    root = path / "0"
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.name[0] not in ".z")


def pixels_of(writer: UnitWriter, unit: WriteUnit, value: int) -> np.ndarray:
    region = ome_zarr.unit_region(writer.level(unit.level), unit)
    return np.full([s.stop - s.start for s in region], value, "u2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.zarr"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "own").mkdir()
    return Stage(tmp_path / "own")


@pytest.mark.parametrize(("version", "shards"), LAYOUTS)
def test_each_unit_is_one_object_even_if_it_holds_zeros_only(
    path: Path, version: str, shards: tuple[int, ...] | None
) -> None:
    writer = make(path, version=version, shards=shards)
    units = list(ome_zarr.missing_units(path, 0))
    assert len(units) == np.prod(ome_zarr.unit_counts(writer.level(0)))
    for number, unit in enumerate(units, start=1):
        writer.write(unit, pixels_of(writer, unit, 0))
        assert len(objects(path)) == number
    assert ome_zarr.stored_units(path, 0).all()
    writer.delete(units[3])
    writer.delete(units[3])
    assert list(ome_zarr.missing_units(path, 0)) == [units[3]]


@pytest.mark.parametrize("shards", [None, (1, 32, 32)])
def test_an_object_is_the_one_that_zarr_would_store(
    stage: Stage, tmp_path: Path, shards: tuple[int, ...] | None
) -> None:
    """By way of a stage, without one, and by zarr itself."""
    pixels = np.random.default_rng(0).poisson(9, (1, 32, 18)).astype("u2")
    settings: dict[str, Any] = {
        "shape": (2, 40, 50), "axes": "ZYX", "chunks": (1, 32, 32) if shards is None else (1, 16, 16), "shards": shards,
        "version": "0.4" if shards is None else "0.5",
    }  # fmt: skip
    for name, given in (("staged", stage), ("plain", None)):
        make(tmp_path / name, **settings)
        writer = pickle.loads(pickle.dumps(UnitWriter(tmp_path / name, given)))
        writer.write(WriteUnit(0, (1, 0, 1)), pixels)
        writer.write(WriteUnit(0, (0, 0, 1)), pixels * 0)
    array = make(tmp_path / "zarr", **settings).level(0)
    array[1:2, :32, 32:], array[0:1, :32, 32:] = pixels, pixels * 0
    staged, plain, theirs = (
        {
            file.relative_to(root): file.read_bytes()
            for file in root.rglob("*")
            if file.is_file() and ".digests" not in file.parts
        }
        for root in (tmp_path / "staged", tmp_path / "plain", tmp_path / "zarr")
    )
    assert staged == plain == theirs


def test_an_output_that_was_moved_is_not_made_again_without_its_metadata(path: Path, stage: Stage) -> None:
    make(path)
    for writer in (UnitWriter(path, stage), UnitWriter(path)):
        writer.level(0)
        path.rename(path.with_name("moved"))
        with pytest.raises(OutputError, match="was it deleted or moved"):
            writer.write(FIRST, np.zeros((1, 1, 1, 16, 32), "u2"))
        assert not path.exists()
        path.with_name("moved").rename(path)


def test_pixels_of_another_shape_or_type_are_refused(path: Path) -> None:
    writer = make(path)
    for pixels in (np.zeros((1, 1, 1, 16, 16), "u2"), np.zeros((1, 1, 1, 16, 32), "f4")):
        with pytest.raises(OutputError, match="is not level 0, unit 0/0/0/0/0"):
            writer.write(FIRST, pixels)
    with pytest.raises(OutputError, match="outside the grid"):
        writer.write(WriteUnit(0, (0, 0, 0, 9, 0)), np.zeros((1, 1, 1, 16, 32), "u2"))
    with pytest.raises(OutputError, match="no level 4"):
        writer.write(WriteUnit(4, (0, 0, 0, 0, 0)), np.zeros((1, 1, 1, 16, 32), "u2"))
    assert objects(path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_leftovers_of_a_killed_writer_are_not_taken_for_objects(path: Path) -> None:
    make(path)
    script = (
        "import os, signal, sys, numpy as np\n"
        "from napari_restore.images.writing.layout import WriteUnit\n"
        "from napari_restore.images.writing.unit_writer import UnitWriter\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "UnitWriter(sys.argv[1]).write(WriteUnit(0, (0, 0, 0, 0, 0)), np.ones((1, 1, 1, 16, 32), 'u2'))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert killed.returncode == -signal.SIGKILL
    assert len(list(path.rglob("*.new"))) == 1
    assert not ome_zarr.stored_units(path, 0).any()


def test_write_failure_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    writer = make(path)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=r"level 0, unit 0/0/0/0/0 .*No space left"):
        writer.write(FIRST, np.ones((1, 1, 1, 16, 32), "u2"))
    assert not list(path.rglob("*.new"))


def test_threads_write_at_once(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, SHAPE).astype("u2")
    writer = make(path)

    def write(unit: WriteUnit) -> None:
        writer.write(unit, pixels[ome_zarr.unit_region(writer.level(0), unit)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, ome_zarr.missing_units(path, 0)))
    np.testing.assert_array_equal(ome_zarr.open_level(path, 0)[:], pixels)


@pytest.mark.parametrize(("version", "shards"), LAYOUTS)
@pytest.mark.parametrize("leftover", [None, b"", b"garbage" * 100])
def test_a_unit_is_one_write_whatever_lies_in_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: str, shards: tuple[int, ...] | None, leftover: bytes | None
) -> None:
    writer = make(path, version=version, shards=shards)
    unit = WriteUnit(0, (1, 1, 0, 1, 1))  # clipped at the end of the array
    stored = path / "0" / ("" if version == "0.4" else "c") / "1/1/0/1/1"
    if leftover is not None:
        stored.parent.mkdir(parents=True)
        stored.write_bytes(leftover)
    written, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (written.append(new), replace(old, new))[1])
    writer.write(unit, pixels_of(writer, unit, 7))
    assert written == [stored]
    array = ome_zarr.open_level(path, 0)
    assert (np.asarray(array[ome_zarr.unit_region(array, unit)]) == 7).all()

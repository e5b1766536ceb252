"""Outputs of earlier versions (see tests/earlier) are recognised, checked, and gone on with to the same bytes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from earlier.make_earlier import CASES, Case, digests, machine, make_source

from napari_restore import api
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.recipe import EXECUTION_FIELDS, Recipe
from napari_restore.fingerprint import digest

ROOT = Path(__file__).parents[3]
VERSIONS = {file.parent.name: file.parent for file in sorted((ROOT / "tests/earlier").glob("*/digests.json"))}
APART = {"float32": 1e-5, "bfloat16": 1e-2}
"""How far pixels of another processor may lie from the stored ones, in value ranges; integers at least 1."""


@dataclass
class Earlier:
    """A copy of an output, with its source at another place than it was.

    Parameters
    ----------
    folder
        What the earlier version left.
    name
        Of the case.
    room
        An empty folder for the copy and the source.
    """

    folder: Path
    name: str
    room: Path

    @property
    def case(self) -> Case:
        return CASES[self.name]

    @property
    def output(self) -> Path:
        """Where `copy` puts it."""
        return self.room / f"{self.name}.zarr"

    def copy(self, *, whole: bool = False) -> None:
        """Copy the output as it was left, with its lock where the run was killed; or what the run made at its end."""
        if whole:
            shutil.copytree(self.whole, self.output)
            return
        for left in (f"{self.name}.zarr", f".{self.name}.zarr.lock"):
            if (self.folder / left).exists():
                shutil.copytree(self.folder / left, self.room / left)

    @cached_property
    def whole(self) -> Path:
        """What the run had made at its end."""
        killed = self.folder / f"{self.name}.whole.zarr"
        return killed if killed.exists() else self.folder / f"{self.name}.zarr"

    @cached_property
    def source(self) -> Path:
        """As it was: with a chunk that cannot be read where blocks were filled."""
        return make_source(self.room, self.case.source, damaged=True)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = zarr.open_group(self.whole, mode="r").attrs["napari_restore"]
        return found

    def plan(self) -> Plan:
        """What the call that made it would do today."""
        where = {"model": self.case.model, "output": self.output}
        return api.plan(self.source, **where, device="cpu", **self.case.settings)

    def resume(self) -> None:
        """Make the call that made it."""
        where = {"model": self.case.model, "output": self.output}
        api.restore(self.source, **where, device="cpu", **self.case.settings)

    @cached_property
    def same_machine(self) -> bool:
        """Whether what is computed anew has to have the same last bits."""
        noted = json.loads((self.folder / "digests.json").read_text(encoding="utf-8"))
        return bool(noted["machine"] == machine())

    def assert_ended(self, anew: Set[str]) -> None:
        """The output is what its run made at its end; objects that were computed anew may be off by last bits."""
        found, expected = stored(self.output), stored(self.whole)
        assert found.keys() == expected.keys()
        differing = {name for name in found if found[name] != expected[name]}
        assert differing <= (set() if self.same_machine else set(anew))
        for level in {name.split("/")[0] for name in differing}:
            new, old = (np.asarray(zarr.open_array(path / level, mode="r")[...]) for path in (self.output, self.whole))
            np.testing.assert_allclose(new.astype(float), old.astype(float), rtol=0, atol=self.slack(old))

    def slack(self, pixels: np.ndarray) -> float:
        recipe = self.attributes["recipe"]
        apart: float = APART[recipe["precision"]] * float(np.ptp(recipe["value_range"], axis=1).max())
        return max(1.0, apart) if pixels.dtype.kind in "ui" else apart


@pytest.fixture(params=[f"{version} {name}" for version in VERSIONS for name in CASES])
def earlier(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Earlier:
    version, name = request.param.split()
    found = Earlier(VERSIONS[version], name, tmp_path)
    monkeypatch.chdir(ROOT)  # checkpoints are given by paths from there
    now, then = api.model_card(found.case.model).sha256, found.attributes["identity"]["model_sha256"]
    if now != then:
        pytest.skip(f"{found.case.model} has other weights by now: an output of the old ones is rightly refused")
    return found


def stored(output: Path) -> dict[str, str]:
    """Digests of what Zarr reads, and of the marks of filled blocks; a later version may keep more notes beside."""
    names = {".zarray", ".zattrs", ".zgroup", ".filled"}
    return {
        name: found
        for name, found in digests(output).items()
        if all(part in names or not part.startswith(".") for part in name.split("/"))
    }


def objects(output: Path, level: int) -> list[str]:
    """Names of the stored objects of a level."""
    return [name for name in stored(output) if name.startswith(f"{level}/") and name.rpartition("/")[2].isdecimal()]


def test_outputs_are_what_was_written() -> None:
    assert VERSIONS
    for folder in VERSIONS.values():
        noted = json.loads((folder / "digests.json").read_text(encoding="utf-8"))["outputs"]
        assert {name: digests(folder / f"{name}.zarr") for name in noted} == noted
        assert {path.name for path in folder.glob("*.zarr")} == {f"{name}.zarr" for name in noted}


def test_same_fingerprint(earlier: Earlier) -> None:
    earlier.copy()
    assert digest(earlier.attributes["identity"]) == earlier.attributes["fingerprint"]
    assert earlier.plan().fingerprint == earlier.attributes["fingerprint"]
    # The stored recipe alone says it all.
    recipe = Recipe.from_json(earlier.attributes["recipe"] | {"on_error": "raise"})
    assert api.plan(earlier.source, **recipe.model_dump()).fingerprint == earlier.attributes["fingerprint"]


def test_recipe_round_trip(earlier: Earlier) -> None:
    stored = earlier.attributes["recipe"]
    recipe = Recipe.from_json(json.loads(json.dumps(stored)))
    # Settings that there were not yet, and that pixels depend on, have the value by which a run does as it did before.
    assert {name: value for name, value in recipe.as_json().items() if name in stored} == stored
    assert recipe.as_json().keys() - stored.keys() <= EXECUTION_FIELDS
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert recipe.pixel_settings().items() >= earlier.attributes["identity"]["recipe"].items()


def test_resumed(earlier: Earlier) -> None:
    earlier.copy()
    missing = stored(earlier.whole).keys() - stored(earlier.output).keys()
    assert bool(missing) == bool(earlier.case.killed_after)
    for mark in earlier.room.glob(".*.lock/*/owner.json"):
        os.utime(mark, (0, 0))  # the run that was killed has given no sign of life for long
    earlier.resume()
    earlier.assert_ended(missing)
    assert not list(earlier.room.glob(".*"))


def test_lost_objects_are_made_again(earlier: Earlier) -> None:
    earlier.copy(whole=True)
    lost = objects(earlier.output, 0)[0]
    (earlier.output / lost).unlink()
    earlier.resume()
    earlier.assert_ended({lost})


@pytest.mark.parametrize("version", VERSIONS)
def test_chunks_keep_their_checksums_where_metadata_no_longer_name_them(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results of 0.4 were begun with ``checksum`` in ``.zarray``, and are resumed with the same bytes."""
    monkeypatch.chdir(ROOT)
    earlier = Earlier(VERSIONS[version], "ome_0_4", tmp_path)
    earlier.copy(whole=True)
    before = (earlier.output / "0/.zarray").read_bytes()
    assert json.loads(before)["compressor"]["checksum"]
    lost, damaged, kept = objects(earlier.output, 0)
    (earlier.output / lost).unlink()
    earlier.resume()
    earlier.assert_ended({lost})
    bits = bytearray((earlier.output / damaged).read_bytes())
    bits[-6] ^= 1  # two bytes before the checksum, in the compressed pixels
    (earlier.output / damaged).write_bytes(bits)
    found = api.verify(earlier.output)
    assert [unit.index for unit in found.damaged] == [tuple(map(int, damaged.split("/")[1:]))]
    assert api.verify(earlier.output, repair=True, recompute=100, source=earlier.source).ok
    earlier.assert_ended({lost, damaged})
    assert (earlier.output / "0/.zarray").read_bytes() == before
    new = tmp_path / "new.zarr"
    api.restore(earlier.source, model=earlier.case.model, output=new, device="cpu", **earlier.case.settings)
    assert "checksum" not in json.loads((new / "0/.zarray").read_bytes())["compressor"]
    for name in (lost, damaged, kept):  # the flag of the frame's header says that four bytes of a checksum follow
        assert (new / name).read_bytes()[4] & 4 and (earlier.output / name).read_bytes()[4] & 4
        if earlier.same_machine:
            assert (new / name).read_bytes() == (earlier.output / name).read_bytes()


def test_verified(earlier: Earlier) -> None:
    earlier.copy(whole=True)
    filled = {"1/0/0"} if earlier.name == "filled" else set()
    found = api.verify(earlier.output, recompute=100, source=earlier.source)
    assert {"/".join(map(str, unit.index)) for unit in found.filled} == filled
    assert found.recomputed == len(objects(earlier.output, 0)) - len(filled)
    assert found.ok == (not filled), found
    assert not (found.missing or found.damaged or found.differing or found.metadata) and found.fingerprint_intact
    assert stored(earlier.output) == stored(earlier.whole)
    if filled:
        assert "stack.zarr: chunk (1, 0, 0)" in next(iter(found.filled.values()))[0]


def test_filled_blocks_are_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for number, folder in enumerate(VERSIONS.values()):
        room = tmp_path / str(number)
        room.mkdir()
        earlier = Earlier(folder, "filled", room)
        earlier.copy()
        before = stored(earlier.output)
        source = make_source(room, earlier.case.source)
        found = api.verify(earlier.output, repair=True, recompute=100, source=source)
        assert found.ok and not found.filled and found.recomputed == 3
        after = stored(earlier.output)
        mark = "0/.filled/1.0.0.json"
        assert {name for name in before if before[name] != after.get(name)} == {mark, "0/c/1/0/0", "zarr.json"}
        assert before.keys() - after.keys() == {mark}
        now = dict(zarr.open_group(earlier.output, mode="r").attrs["napari_restore"])
        # Of the source, it is now known what could not be read then.
        assert now["source_crops"].items() > earlier.attributes["source_crops"].items()
        assert now | {"source_crops": earlier.attributes["source_crops"]} == earlier.attributes

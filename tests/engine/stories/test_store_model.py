"""A model of the store: whatever is done to an output, a result that `verify` calls sound is that of a run in peace.

Hypothesis chooses what happens, in which order: runs that are stopped or killed, gone on with, with overwrite, by other
settings, of another source, beside another writer, with less memory; bits that flip; verify and repair.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from stored_files import files

from napari_restore import api
from napari_restore.engine.store.lock import OutputLock
from napari_restore.errors import OutputInUse, RestoreError

SHAPE = (3, 32, 70)
COMMON: dict[str, Any] = {
    "device": "cpu", "tile": 32, "halo": 8, "blend": 8, "chunks": (1, 32, 35), "shards": (1, 32, 35),
}  # fmt: skip
RANGES = ((0, 300), (0, 500))
SOURCES = [np.random.default_rng(seed).poisson(100, SHAPE).astype(np.uint16) for seed in (0, 1)]
which = st.integers(0, 1)


def objects(path: Path) -> dict[str, bytes]:
    """What does not tell how the run was done: stored objects, and their digests."""
    return {name: content for name, content in files(path).items() if "/c/" in name or name == "0/.sha256sums"}


class Store(RuleBasedStateMachine):
    model: Path
    """Checkpoint."""
    references: dict[tuple[int, int], dict[str, bytes]]
    """Of a run that nothing happened to, by source and range."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.output, self.path = self.folder / "out.zarr", self.folder / "in.tif"
        self.source, self.range = 0, 0
        self.made_of: tuple[int, int] | None = None
        """Source and range of what is at the output, as far as that is known."""
        self.flipped = False
        """Whether a bit may be wrong there."""
        self.memory = 64 * 10**9
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("napari_restore.engine.hardware.devices.available_memory", lambda: self.memory)

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder)

    def _settings(self, number: int) -> dict[str, Any]:
        return {"model": self.model, "value_range": RANGES[number], **COMMON}

    def _restore(self, number: int, *, overwrite: bool = False) -> Iterator[Any]:
        settings = self._settings(number)
        return api.iter_restore(self.path, output=self.output, overwrite=overwrite, **settings)

    @initialize()
    def write_source(self) -> None:
        tifffile.imwrite(self.path, SOURCES[0], photometric="minisblack", metadata={"axes": "ZYX"})

    @rule(source=which)
    def replace_the_source(self, source: int) -> None:
        self.source = source
        tifffile.imwrite(self.path, SOURCES[source], photometric="minisblack", metadata={"axes": "ZYX"})

    @rule(tight=st.booleans())
    def change_the_memory(self, tight: bool) -> None:
        self.memory = 320 * 10**6 if tight else 64 * 10**9

    @rule(number=which, blocks=st.integers(0, 5), overwrite=st.booleans(), kill=st.booleans())
    def begin_and_stop(self, number: int, blocks: int, overwrite: bool, kill: bool) -> None:
        events = self._restore(number, overwrite=overwrite)
        with self._killed() if kill else _nothing():
            try:
                for event in events:
                    if event.done >= blocks:
                        break
            except RestoreError:
                self._refused(number, overwrite)
                return
            finally:
                events.close()  # type: ignore[attr-defined]
        self._made(number, overwrite)

    @contextmanager
    def _killed(self) -> Iterator[None]:
        """Leave the lock, with half an object in it, as a process that is no more."""
        release, kept = OutputLock.release, []

        def leave(lock: OutputLock) -> None:
            lock._released.set()
            kept.append(lock)

        OutputLock.release = leave  # type: ignore[method-assign]
        try:
            yield
        finally:
            OutputLock.release = release  # type: ignore[method-assign]
            for lock in kept:
                mark = lock.stage.folder / "owner.json"
                mark.write_text(json.dumps(json.loads(mark.read_text()) | {"started": "never"}))
                (lock.stage.folder / "half.partial").write_bytes(b"half")

    @rule(number=which, overwrite=st.booleans())
    def run_to_the_end(self, number: int, overwrite: bool) -> None:
        try:
            for _ in self._restore(number, overwrite=overwrite):
                pass
        except RestoreError:
            self._refused(number, overwrite)
            return
        self._made(number, overwrite)
        if not self.flipped:
            assert objects(self.output) == self.references[self.source, number]
            assert sorted(name.name for name in self.folder.glob(".*")) == []

    def _made(self, number: int, overwrite: bool) -> None:
        if self.made_of != (self.source, number):
            assert self.made_of is None or overwrite, "a result of something else was gone on with"
            self.flipped = False
        self.made_of = self.source, number

    def _refused(self, number: int, overwrite: bool) -> None:
        assert self.flipped or (not overwrite and self.made_of not in (None, (self.source, number)))

    @precondition(lambda self: self.made_of is not None)
    @rule(number=which)
    def a_second_writer(self, number: int) -> None:
        events = self._restore(number)
        try:
            next(events)
        except RestoreError:
            return
        try:
            with pytest.raises(OutputInUse):
                next(self._restore(number))
            with pytest.raises(OutputInUse):
                next(self._restore(number, overwrite=True))
        finally:
            events.close()  # type: ignore[attr-defined]

    @precondition(lambda self: self.output.is_dir())
    @rule(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 10**6))
    def flip_a_bit(self, place: float, bit: int) -> None:
        there = sorted(file for file in self.output.rglob("*") if file.is_file() and file.stat().st_size)
        file = there[int(place * len(there))]
        content = bytearray(file.read_bytes())
        content[bit // 8 % len(content)] ^= 1 << bit % 8
        file.write_bytes(content)
        self.flipped = True

    @precondition(lambda self: self.output.is_dir())
    @rule()
    def repair(self) -> None:
        try:
            found = api.verify(self.output, repair=True)
        except RestoreError:
            assert self.flipped or (self.made_of or (None,))[0] != self.source
            return
        assert found.ok
        self.flipped = False
        assert objects(self.output) == self.references[self.made_of]  # type: ignore[index]

    @precondition(lambda self: self.output.is_dir())
    @invariant()
    def what_is_called_sound_is_right(self) -> None:
        try:
            found = api.verify(self.output)
        except RestoreError:
            assert self.flipped
            return
        assert self.made_of is not None
        if found.ok:
            assert objects(self.output) == self.references[self.made_of]
        if not self.flipped:
            assert not found.damaged and not found.metadata and found.fingerprint_intact


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def test_the_store(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    Store.model, Store.references = checkpoints["local"], {}
    for source, pixels in enumerate(SOURCES):
        tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
        for number, given in enumerate(RANGES):
            output = tmp_path / f"{source}{number}.zarr"
            api.denoise(tmp_path / "in.tif", output, model=checkpoints["local"], value_range=given, **COMMON)
            Store.references[source, number] = objects(output)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Store,
        settings=hypothesis.settings(
            max_examples=6, stateful_step_count=10, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip

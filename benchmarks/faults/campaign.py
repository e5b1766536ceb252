"""A campaign of faults: every trial is a real run in a separate process, and one row reports each kind of fault."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults import trials

__all__ = ["COLUMNS", "Campaign", "Row"]

COLUMNS = ("trials", "interrupted", "found", "healed", "wrong", "silent", "hangs", "left")


@dataclass
class Row:
    """Outcome of one kind of fault.

    Attributes
    ----------
    name
        The fault.
    counts
        By the names of `COLUMNS`.
    notes
        What went wrong, or why it was left out.
    """

    name: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0))
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong, silent, hanging or left behind, and all faults that were found were repaired."""
        return not any(self.counts[name] for name in ("wrong", "silent", "hangs", "left")) and not self.notes

    def add(self, **counts: int) -> None:
        for name, count in counts.items():
            self.counts[name] += count

    def __str__(self) -> str:
        figures = "".join(f"{self.counts[name] or '-':>12}" for name in COLUMNS)
        return "\n".join(
            [f"{self.name:<38}{figures}{self.seconds:7.0f} s", *(f"    {note}" for note in self.notes[:5])]
        )


class Campaign:
    """A folder with a source, a model and the result that all other results have to equal.

    Parameters
    ----------
    folder
        An empty one.
    seed
        Of all choices.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.dice = folder, random.Random(seed)
        self.must(lambda: trials.make_inputs(folder))
        began = time.monotonic()
        self.must(lambda: trials.restore(folder, folder / "whole.zarr") and None)
        self.seconds = time.monotonic() - began
        self.whole = trials.files(folder / "whole.zarr")
        self.other = {"value_range": (0, 500), "shards": (1, 64, 264)}
        self.must(lambda: trials.restore(folder, folder / "other.zarr", **self.other) and None)
        self.other_whole = trials.files(folder / "other.zarr")
        self._count, self._wholes = 0, dict[str, dict[str, bytes]]()

    def whole_of(self, name: str, **settings: Any) -> dict[str, bytes]:
        """Return the result of an undisturbed run with other settings."""
        if name not in self._wholes:
            self.must(lambda: trials.restore(self.folder, self.folder / f"{name}.zarr", **settings) and None)
            self._wholes[name] = trials.files(self.folder / f"{name}.zarr")
        return self._wholes[name]

    def must(self, function: Callable[[], Any]) -> Any:
        """Call a function in a child process that has to succeed."""
        kind, value = trials.fork(function).result()
        assert kind == "done", (kind, value)
        return value

    def room(self) -> Path:
        """Make an empty folder for one trial."""
        self._count += 1
        folder = self.folder / f"trial-{self._count}"
        folder.mkdir()
        return folder

    def finish(self, row: Row, room: Path, name: str = "out.zarr") -> None:
        """Resume an interrupted trial to its end, and check the result."""

        def resumed() -> None:
            trials.short_waits()
            trials.restore(self.folder, room / name)

        kind, value = trials.fork(resumed).result()
        if kind == "hang":
            row.add(hangs=1)
        elif kind != "done":
            row.add(wrong=1)
            row.notes.append(f"not resumed: {value}")
        self.compare(row, room, self.whole, name)

    def compare(self, row: Row, room: Path, expected: dict[str, bytes], name: str = "out.zarr") -> None:
        """Count a result that is not the expected one, and files left beside it; then delete it."""
        found = trials.files(room / name)
        if found != expected:
            row.add(wrong=1)
            differing = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
            row.notes.append(f"differs in {', '.join(differing[:3])}")
        if left := beside(room, name):
            row.add(left=1)
            row.notes.append(f"left behind: {', '.join(left)}")
        shutil.rmtree(room)

    def kill_at_random(self, count: int) -> Row:
        """Kill runs after a random time, up to three times each, and resume; runs that ended before do not count."""
        row = Row("SIGKILL at a random moment")
        while row.counts["trials"] < count:
            room = self.room()
            for _ in range(min(self.dice.randrange(1, 4), count - row.counts["trials"])):
                child = trials.fork(lambda room=room: trials.restore(self.folder, room / "out.zarr"))  # type: ignore[misc]
                time.sleep(self.dice.uniform(0.02, self.seconds))
                os.kill(child.pid, signal.SIGKILL)
                killed = child.result()[0] == "killed"
                row.add(trials=killed, interrupted=killed)
            self.finish(row, room)
        return row

    def kill_at_points(self, count: int) -> Row:
        """Kill runs at every labelled point, at a random occurrence, and resume."""
        row = Row(f"SIGKILL at {len(trials.POINTS)} labelled points")
        for number in range(count):
            room, name = self.room(), list(trials.POINTS)[number % len(trials.POINTS)]
            passing = self.dice.randint(1, trials.POINTS[name][3])

            def killed(room: Path = room, name: str = name, passing: int = passing) -> None:
                trials.at_point(name, passing, trials.kill)
                trials.restore(self.folder, room / "out.zarr")

            kind, value = trials.fork(killed).result()
            row.add(trials=1, interrupted=kind == "killed")
            if kind != "killed":
                row.notes.append(f"{name} ({passing}): not killed: {kind} {value}")
            self.finish(row, room)
        return row

    def zombies(self, count: int) -> Row:
        """Suspend runs past their lease, let another run take over, and continue them."""
        row = Row("SIGSTOP past the lease, SIGCONT")
        points = ["before a block", "before write", "in the temporary file", "before rename", "after rename"]
        points += ["during the pyramid", "at the end", "metadata written beside"]
        for number in range(count):
            room, name = self.room(), points[number % len(points)]
            passing = self.dice.randint(1, trials.POINTS[name][3])
            replaced = number % 3 != 0
            settings = self.other | {"overwrite": True} if replaced else {}

            def stopped(room: Path = room, name: str = name, passing: int = passing) -> None:
                trials.short_waits()
                trials.at_point(name, passing, trials.stop)
                trials.restore(self.folder, room / "out.zarr")

            def taking_over(room: Path = room, settings: dict[str, Any] = settings) -> None:
                trials.short_waits()
                trials.restore(self.folder, room / "out.zarr", **settings)

            zombie = trials.fork(stopped)
            row.add(trials=1, interrupted=zombie.stopped())
            time.sleep(trials.lock.LEASE * 0.05 + 0.3)
            kind, value = trials.fork(taking_over).result()
            if kind != "done":
                row.notes.append(f"{name}: not taken over: {value}")
            os.kill(zombie.pid, signal.SIGCONT)
            kind, value = zombie.result()
            row.add(hangs=kind == "hang", found=kind == "RestoreError" and value[0] == "OutputTaken")
            self.compare(row, room, self.other_whole if replaced else self.whole)
        return row

    def locks(self, count: int) -> Row:
        """Start several runs on one output at once: one of them runs, the others are refused."""
        row = Row("three runs at once on one output")
        for _ in range(count):
            room = self.room()

            start = time.time() + 0.2

            def contending(room: Path = room, start: float = start) -> None:
                time.sleep(max(0.0, start - time.time()))
                trials.restore(self.folder, room / "out.zarr")

            results = [child.result() for child in [trials.fork(contending) for _ in range(3)]]
            refused = sum(kind == "RestoreError" and value[0] == "OutputInUse" for kind, value in results)
            row.add(trials=1, interrupted=refused, found=refused, hangs=sum(kind == "hang" for kind, _ in results))
            if refused + sum(kind == "done" for kind, _ in results) < 3 or refused == 3:
                row.notes.append(str(results))
            self.compare(row, room, self.whole)
        return row

    def full_disks(self, count: int) -> Row:
        """Fill a small file system, enlarge it, and resume."""
        row = Row("ENOSPC on a small file system")
        pages = sum(-(-len(content) // 4096) for content in self.whole.values())
        for _ in range(count):
            with trials.small_disk(self.folder, f"{self.dice.randrange(3, pages) * 4}k") as disk:
                if disk is None:
                    return _skipped(row, "only root can mount a small file system")
                kind, value = trials.fork(lambda: trials.restore(self.folder, disk / "out.zarr")).result()
                told = kind == "RestoreError" and ("room" in value[1] or "space" in value[1])
                row.add(trials=1, interrupted=kind == "RestoreError", found=told)
                if kind != "RestoreError":
                    row.notes.append(f"disk not full: {kind}")
                halves = list(disk.rglob("*.partial"))
                row.add(left=len(halves))
                subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
                self._finish_on(row, disk)
        return row

    def _finish_on(self, row: Row, disk: Path) -> None:
        kind, value = trials.fork(lambda: trials.restore(self.folder, disk / "out.zarr")).result()
        if kind != "done" or trials.files(disk / "out.zarr") != self.whole:
            row.add(wrong=1)
            row.notes.append(f"not resumed: {value}")
        row.add(left=bool(beside(disk, "out.zarr")))

    def failing_disks(self, count: int) -> list[Row]:
        """Let reads and writes fail for a moment, and permanently."""
        rows = [Row("EIO, EACCES on the source, passing"), Row("EIO, EACCES on the output, passing")]
        rows += [Row("EIO, EACCES on the source, for good"), Row("the same, on_error=fill")]
        for number in range(count):
            code, seed = trials.TRANSIENT[number % 2], self.dice.randrange(1 << 30)
            chunk = f"c/{self.dice.randrange(6)}/{self.dice.randrange(2)}/{self.dice.randrange(3)}"

            def passing_source(room: Path, code: int = code, seed: int = seed) -> int:
                trials.failing_source(code, share=0.1, seed=seed)
                trials.short_waits()
                return sum(receipt.retries for receipt in trials.restore(self.folder, room / "out.zarr"))

            def passing_output(room: Path, code: int = code, seed: int = seed) -> int:
                trials.failing_output(code, 0.1, seed)
                trials.short_waits()
                return len(trials.restore(self.folder, room / "out.zarr"))

            def for_good(room: Path, code: int = code, chunk: str = chunk, policy: str = "raise") -> Any:
                trials.failing_source(code, chunk=chunk)
                trials.short_waits()
                trials.restore(self.folder, room / "out.zarr", on_error=policy)
                return trials.api.verify(room / "out.zarr").filled

            for row, function in zip(rows[:2], (passing_source, passing_output), strict=True):
                room, began = self.room(), time.monotonic()
                kind, value = trials.fork(lambda room=room, function=function: function(room)).result()  # type: ignore[misc]
                row.add(trials=1, interrupted=1, hangs=kind == "hang", found=kind != "done" or value > 0)
                self.finish(row, room)
                row.seconds += time.monotonic() - began
            room, began = self.room(), time.monotonic()
            kind, value = trials.fork(lambda room=room: for_good(room)).result()  # type: ignore[misc]
            named = kind == "RestoreError" and value[0] == "ChunkError" and chunk in value[1]
            rows[2].add(trials=1, interrupted=1, hangs=kind == "hang", found=named, silent=kind == "done")
            self.finish(rows[2], room)
            rows[2].seconds += time.monotonic() - began
            room, began = self.room(), time.monotonic()
            kind, value = trials.fork(lambda room=room: for_good(room, policy="fill")).result()  # type: ignore[misc]
            rows[3].add(trials=1, interrupted=1, hangs=kind == "hang", found=kind == "done" and bool(value))
            healed = trials.fork(lambda room=room: trials.api.verify(room / "out.zarr", repair=True).ok).result()  # type: ignore[misc]
            same = trials.pixels(trials.files(room / "out.zarr")) == trials.pixels(self.whole)
            rows[3].add(healed=healed == ("done", True) and same, wrong=not same)
            shutil.rmtree(room)
            rows[3].seconds += time.monotonic() - began
        return rows

    def flips(self, count: int) -> list[Row]:
        """Flip bits in results and in sources."""
        rows = [Row("bit flips in the output"), Row("bit flips in the output's metadata")]
        rows += [Row("bit flips in the source (Zarr, checksums)"), Row("bit flips in the source (TIFF, deflate)")]
        each = (count, count // 4, count // 2, count - count // 2)
        for row, number in zip(rows, each, strict=True):
            row.seconds = -time.monotonic()
            room = self.room()
            shutil.copytree(self.folder / "whole.zarr", room / "out.zarr")
            for name in ("source.zarr", "source.tif", "model.safetensors"):
                origin = self.folder / name
                (shutil.copytree if origin.is_dir() else shutil.copy)(origin, room / name)
            for first in range(0, number, 10):
                part, seed = min(10, number - first), self.dice.randrange(1 << 30)
                work = {
                    rows[0].name: lambda part, seed, room: trials.flips_in_output(room, room / "out.zarr", part, seed),
                    rows[1].name: lambda part, seed, room: trials.flips_in_metadata(room / "out.zarr", part, seed),
                    rows[2].name: lambda part, seed, room: trials.flips_in_source(
                        room, "source.zarr", self.whole, part, seed
                    ),
                    rows[3].name: lambda part, seed, room: trials.flips_in_source(
                        room, "source.tif", self.whole, part, seed
                    ),
                }[row.name]
                kind, value = trials.fork(lambda w=work, p=part, s=seed, r=room: w(p, s, r)).result()  # type: ignore[misc]
                if kind != "done":
                    row.add(hangs=kind == "hang", wrong=kind != "hang")
                    row.notes.append(str(value))
                    continue
                harmless = value.pop("harmless", 0)
                row.add(**value, wrong=value["found"] - value["healed"])
                row.counts["interrupted"] += value["trials"] - harmless
            row.seconds += time.monotonic()
            shutil.rmtree(room)
        return rows

    def sources(self, count: int) -> list[Row]:
        """Remove, replace and damage sources, or make them malicious."""
        from benchmarks.faults import sources

        rows = [Row("source moved away in the middle"), Row("source replaced in the middle")]
        rows += [Row("source without strips; chunks that harm")]
        does = (sources.lost_sources, sources.replaced_sources, sources.incomplete_sources)
        for row, function in zip(rows, does, strict=True):
            began = time.monotonic()
            function(self, row, count)
            row.seconds = time.monotonic() - began
        return rows

    def slow(self, count: int) -> Row:
        """Let a server send a byte a second, or nothing more."""
        from benchmarks.faults import slow

        row = Row("a server sends a byte a second, or none")
        slow.slow_servers(self, row, count)
        return row

    def network(self, disks: int, shared: int, stores: int) -> list[Row]:
        """Kill and contend on a network disk with its faults, and on an object store."""
        from benchmarks.faults import network

        rows = [Row("network disk, SIGKILL, another client"), Row("network disk, two clients, wrong clocks")]
        for row, function, count in zip(
            rows, (network.kill_on_network_disks, network.share_network_disks), (disks, shared), strict=True
        ):
            row.seconds = -time.monotonic()
            function(self, row, count)
            row.seconds += time.monotonic()
        names = ("killed", "overwritten, killed", "contended: two runs at once", "flipped: a bit in an object")
        in_store = [Row(f"{name} (S3)") for name in names]
        network.kill_on_object_stores(self, in_store, stores)
        return rows + in_store

    def cluster(self, workers: int, schedulers: int, sleepers: int) -> list[Row]:
        """Kill workers and schedulers of a Dask cluster, and continue workers whose blocks were given to others."""
        from benchmarks.faults import cluster  # a second that campaigns without one need not wait

        rows = [Row("Dask: workers killed"), Row("Dask: schedulers killed"), Row("Dask: workers stopped, woken late")]
        does = (cluster.kill_workers, cluster.kill_schedulers, cluster.wake_workers)
        for row, function, count in zip(rows, does, (workers, schedulers, sleepers), strict=True):
            began = time.monotonic()
            function(self, row, count)
            row.seconds = time.monotonic() - began
        return rows


def beside(folder: Path, name: str) -> list[str]:
    """Return what is in the folder of a result besides the result and its report."""
    report = {f"{name}.report.{ending}" for ending in ("json", "md", "html")}
    return sorted(set(os.listdir(folder)) - {name} - report)


def _skipped(row: Row, reason: str) -> Row:
    row.name += f": skipped, {reason}"
    return row

"""Fuzz the readers: no damaged file may cause a traceback, hang, fill the memory, or access files outside its folder.

    python -m benchmarks.fuzz                          # 10,000 files
    python -m benchmarks.fuzz --count 300 --only tiff  # 300 TIFF files
    python -m benchmarks.fuzz --keep FOLDER            # copy files with faults to the folder

Each file is a valid file of a few kilobytes with one to four mutations. It is opened in a separate process, which may
use 10 s of processor time and 600 MB. Counted are tracebacks and unexpected errors of the package, processes that end
by a signal or hang, use of too much memory, pixels from or writes to files outside the folder, and code that was run.
All counts must be 0; otherwise the exit code is 1.

Linux only.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import pkgutil
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

from benchmarks.fuzz.mutations import mutate
from benchmarks.fuzz.seeds import make_seeds
from benchmarks.fuzz.trial import Outcome, copied, run_trial

KINDS = ("tiff", "zarr", "hdf5", "safetensors", "pickle", "result")
FAULTS = ("traceback", "crash", "hang", "memory", "outside", "code")


def campaign(folder: Path, count: int, kinds: tuple[str, ...], seed: int, keep: Path | None) -> int:
    """Do all trials, print a line for each kind and for each fault, and return the number of faults."""
    from benchmarks.faults.trials import fork

    seeds, outside, room = folder / "seeds", folder / "outside", folder / "trial"
    for place in (seeds, outside):
        place.mkdir()
    made = fork(lambda: make_seeds(seeds, outside)).result(300)
    assert made[0] == "done", made
    _warm_up()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    bad = 0
    print(
        f"{'kind':<14}" + "".join(f"{name:>11}" for name in ("trials", "read", *FAULTS, "most s", "most MB")),
        flush=True,
    )
    for kind in kinds:
        tally, worst, largest = collections.Counter[str](), 0.0, 0.0
        for number in range(count // len(kinds)):
            dice = random.Random(f"{seed} {kind} {number}")
            shutil.rmtree(room, ignore_errors=True)
            room.mkdir()
            chosen = seeds / kind if kind == "result" else dice.choice(_seeds(seeds / kind))
            path = copied(chosen, room)
            damage = mutate(_target(path, kind, dice), dice)
            outcome = run_trial(kind, path, room, before)
            if (outside / "written").exists():
                (outside / "written").unlink()
                outcome.fault = "code"
            tally["trials"] += 1
            tally[outcome.fault or "held"] += 1
            tally["read"] += not outcome.fault and outcome.said.startswith(("read", "restored", "verified"))
            worst, largest = max(worst, outcome.seconds), max(largest, outcome.megabytes)
            if outcome.fault:
                bad += 1
                _tell(kind, number, damage, outcome)
                if keep is not None:
                    shutil.copytree(room, keep / f"{kind}-{number}-{outcome.fault}", symlinks=True, dirs_exist_ok=True)
        figures = "".join(f"{tally[name]:>11}" for name in ("trials", "read", *FAULTS))
        print(f"{kind:<14}{figures}{worst:>11.1f}{largest:>11.0f}", flush=True)
    return bad


def _warm_up() -> None:
    """Import modules once, before the trials are forked."""
    import imagecodecs
    import tifffile.zarr  # noqa: F401
    import zarr.codecs.numcodecs  # noqa: F401

    import napari_restore

    for module in pkgutil.walk_packages(napari_restore.__path__, "napari_restore."):
        if not module.name.startswith(("napari_restore.widgets", "napari_restore.training", "napari_restore.__main__")):
            importlib.import_module(module.name)
    for codec in ("ZLIB", "DEFLATE", "LZW", "ZSTD", "JPEG", "JPEG8", "JPEG2K", "PACKBITS", "DELTA", "PACKINTS"):
        getattr(imagecodecs, codec, None)


def _seeds(folder: Path) -> list[Path]:
    """Return the files of a kind, without the reports of the runs that made them."""
    return sorted(path for path in folder.iterdir() if ".report." not in path.name)


def _target(path: Path, kind: str, dice: random.Random) -> Path:
    """Choose the part of a result to damage: its files, its report, or the recipe."""
    if kind != "result":
        return path
    return dice.choice((path / "out.zarr", path / "out.zarr", path / "out.zarr.report.json", path / "recipe.json"))


def _tell(kind: str, number: int, damage: str, outcome: Outcome) -> None:
    last = outcome.said.strip().splitlines()[-1][:300] if outcome.said.strip() else ""
    figures = f"{outcome.seconds:.1f} s, {outcome.megabytes:.0f} MB"
    print(f"    {outcome.fault}: {kind} {number} ({damage}): {figures}: {last}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=lambda text: tuple(text.split(",")), default=KINDS)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bad = campaign(Path(folder), given.count, given.only, given.seed, given.keep)
    print(f"{bad} of {given.count} files were not taken well, {time.monotonic() - began:.0f} s")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

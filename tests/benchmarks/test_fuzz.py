"""A short run of `python -m benchmarks.fuzz`, which takes thousands of files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="the campaign needs Linux")


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Run Python code that imports `benchmarks`: in the tests, that is the name of the folder of this module."""
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_damaged_files_are_taken_well() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.fuzz", "--count", "120", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()[1:7]]
    assert [row[0] for row in rows] == ["tiff", "zarr", "hdf5", "safetensors", "pickle", "result"]
    assert sum(int(row[2]) for row in rows) > 10  # some are read in spite of it


@pytest.mark.long  # 17 s
def test_a_trial_finds_what_it_is_there_for(tmp_path: Path) -> None:
    """What the campaign counts, done on purpose: it is not blind."""
    script = f"""
import os, time
from pathlib import Path
from benchmarks.fuzz import trial
room = Path({str(tmp_path)!r})
def outcome(function):
    trial.use = lambda kind, path: function()
    return trial.run_trial("tiff", room, room, 200.0).fault
def write(): open("/var/tmp/nothing", "w")
def allocate(): return str(len(bytearray(2 * 10**8)))
trial.SECONDS, trial.MEGABYTES = 2, 100
print([outcome(f) for f in (lambda: "read", lambda: 1 / 0, lambda: os.kill(os.getpid(), 11), lambda: time.sleep(60),
       allocate, write, lambda: os.system("true"), lambda: exec("while True: pass"))])
"""
    done = run_script(script)
    assert done.stdout.strip() == str(["", "traceback", "crash", "hang", "memory", "outside", "outside", "hang"]), (
        done.stderr
    )


def test_every_way_of_damage_is_repeatable(tmp_path: Path) -> None:
    script = f"""
import random
from pathlib import Path
from benchmarks.fuzz.mutations import mutate
path = Path({str(tmp_path / "zarr.json")!r})
for seed in range(50):
    found = []
    for _ in range(2):
        path.write_text('{{"shape": [3, 4], "attributes": {{"ome": {{"multiscales": [{{"name": "a"}}]}}}}}}')
        mutate(path, random.Random(seed))
        found.append(path.read_bytes())
    assert found[0] == found[1], seed
"""
    done = run_script(script)
    assert done.returncode == 0, done.stderr

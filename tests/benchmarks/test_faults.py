"""A short fault campaign: `python -m benchmarks.faults` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNTS = {"kills": 3, "points": 13, "zombies": 2, "locks": 1, "disks": 1, "errors": 1, "flips": 4, "sources": 3,
          "slow": 2, "network": 3, "clients": 1, "stores": 1}  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="the campaign needs Linux")
@pytest.mark.long
def test_nothing_is_lost_wrong_or_silent() -> None:
    counts = [f"--{name}={count}" for name, count in COUNTS.items()]
    only = "--only=kills,points,zombies,locks,disk,errors,flips,sources,slow,network"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.faults", *counts, only]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    rows = [line for line in done.stdout.splitlines() if line.endswith(" s")]
    assert len(rows) >= 23  # a line for each kind of fault, and one for the run that nothing disturbs

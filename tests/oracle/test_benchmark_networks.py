"""``python -m benchmarks.networks`` takes every kind of network that is bundled or published."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_restore import api

if importlib.util.find_spec("spandrel") is None:
    pytest.skip("spandrel is not installed: run `tox -e oracle`", allow_module_level=True)

ROOT = Path(__file__).parents[2]
KINDS = {json.dumps([card.architecture, card.hyperparameters]): card.name for card in api.models()}
"""One model of each kind."""


def test_every_kind_is_compared() -> None:
    command = [sys.executable, "-m", "benchmarks.networks", *KINDS.values(), "--side", "24", "--rounds", "1"]
    environment = {**os.environ, "PYTHONPATH": "tests", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == list(KINDS.values())
    assert all(float(row[5]) < 2e-5 for row in rows), done.stdout

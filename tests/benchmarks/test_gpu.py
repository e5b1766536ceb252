"""The command that does everything on a GPU runs without one, so that it runs on the day there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def command(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--quick", f"--out={out}", *options]
    return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)


def test_a_part_that_fails_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    done = command(tmp_path, "--parts", "training", "memory", "--recipe", "none such")
    assert done.returncode == 1 and "training: failed (exit 1)" in done.stdout, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_bytes())
    assert "none such" in found["parts"]["training"]["log"]
    batch, in_bfloat16 = found["parts"]["memory"]["runs"]["memory"]["figures"]
    assert (batch["precision"], in_bfloat16["precision"]) == ("float32", "bfloat16")
    assert batch["network"] == "swinir-x2-light" and batch["planned"] == 128**2 * 5184 and batch["peak"] > 0
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "## Training\n\nfailed (exit 1)" in page and "| swinir-x2-light | float32 | 128 | 1 |" in page


@pytest.mark.long
def test_all_parts(tmp_path: Path) -> None:
    done = command(tmp_path)
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr + page
    parts = json.loads((tmp_path / "gpu.json").read_bytes())["parts"]
    assert set(parts) == {"tests", "networks", "jobs", "memory", "training"}
    assert parts["tests"]["passed"] + sum(parts["tests"]["skipped"].values()) >= 30 and not parts["tests"]["failed"]
    runs = {name: run for part in parts.values() for name, run in part.get("runs", {}).items()}
    assert set(runs) == {"float32", "bfloat16", "jobs", "memory"}
    assert runs["float32"]["figures"]["rows"][0]["difference"] == 0  # ours beside ours
    assert runs["jobs"]["figures"][0]["job_to_bare"] > 0
    written = parts["training"]["files"]
    assert {"restormer-sigma25-tiny.safetensors", "training.state.0"} <= set(written)
    assert max(written.values()) < 16e6
    # The next call goes on from there.
    step = int(parts["training"]["last"].split()[1])
    assert command(tmp_path, "--parts", "training").returncode == 0
    again = json.loads((tmp_path / "gpu.json").read_bytes())["parts"]["training"]
    assert int(again["last"].split()[1]) > step

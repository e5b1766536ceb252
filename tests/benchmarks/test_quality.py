"""`docs/quality.md` shows what `docs/quality.json` holds, of the weights that the package has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def command(*options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "benchmarks.quality", *options]
    return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_page_and_figures_agree() -> None:
    done = command("--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_figure_that_was_changed_by_hand_is_seen_and_rendering_mends_it(tmp_path: Path) -> None:
    page = tmp_path / "quality.md"
    written = (ROOT / "docs/quality.md").read_text(encoding="utf-8")
    first = next(line for line in written.splitlines() if line.startswith("| **restormer"))
    page.write_text(written.replace(first, first.replace("| 3", "| 4", 1)), encoding="utf-8")
    assert page.read_text(encoding="utf-8") != written
    changed = command("--check", f"--page={page}")
    assert changed.returncode == 1 and "table fmd is not that of quality.json" in changed.stdout
    assert command("--render", f"--page={page}").returncode == 0
    assert page.read_text(encoding="utf-8") == written


@pytest.mark.long
def test_a_measured_set_is_added_and_the_rest_kept(tmp_path: Path) -> None:
    figures, page = tmp_path / "quality.json", tmp_path / "quality.md"
    page.write_text("## Ours\n<!-- table generated -->\n<!-- end -->\n", encoding="utf-8")
    for row in ("noisy", "median 5×5"):
        done = command(
            str(tmp_path), "--sets=generated", f"--rows={row}", "--every=7", f"--json={figures}", f"--page={page}"
        )
        assert done.returncode == 0, done.stderr
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line.partition(" | ")[0] for line in lines if line.startswith("| ")] == [
        "| ",
        "| ---",
        "| noisy",
        "| median 5×5",
        "| *the noise alone*",
    ]

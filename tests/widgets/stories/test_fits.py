"""Nothing of the dock widgets is cut off: three widths, two themes, three scales of the screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("scale", ["1", *(pytest.param(scale, marks=pytest.mark.long) for scale in ("1.5", "2"))])
def test_everything_fits(scale: str) -> None:
    script = Path(__file__).parents[2] / "fits.py"
    environment = {**os.environ, "QT_SCALE_FACTOR": scale}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=235)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []

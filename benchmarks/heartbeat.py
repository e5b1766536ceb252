"""Measure how long the window of napari is blocked while a model loads and during a run.

    xvfb-run -a -s "-screen 0 1280x800x24" python -m benchmarks.heartbeat
    xvfb-run -a -s "-screen 0 1280x800x24" python -m benchmarks.heartbeat --repeats 1 --why 60

A timer on the main thread beats every 5 ms; the longest time between two beats is the figure. Each repeat is a process
of its own, so that it imports torch and loads the model for the first time. Three spans are told apart:

- ``open``: the dock widget is made and docked, before any work (napari's and Qt's own time, mostly);
- ``load``: torch is imported, the model is loaded, and the layer is looked at;
- ``run``: a run over at least 60 tiles into an OME-Zarr whose layer fills in, to its last event.

``--why MS`` prints what all threads did whenever the window has stood still for so long.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

SPANS = ("open", "load", "run")


def explain(why: float, gap: float) -> None:
    """Have the threads told when the next beat is `why` seconds late, and say how late this one was."""
    if gap > why:
        print(f"---- that was {1000 * gap:.0f} ms", file=sys.stderr, flush=True)
    # It writes from a thread that needs no lock of the interpreter.
    faulthandler.dump_traceback_later(why)


def figures(gaps: list[float]) -> dict[str, float]:
    """Return the longest gap in ms, and the number of gaps over 50 and 100 ms."""
    return {
        "longest": 1000 * max(gaps),
        "over50": sum(gap > 0.05 for gap in gaps),
        "over100": sum(gap > 0.1 for gap in gaps),
    }


def spin(seconds: float) -> None:
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def wait_for(done: Callable[[], bool], step: float = 0.05) -> None:
    end = time.monotonic() + 300
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        spin(step)


def once(why: int) -> dict[str, dict[str, float]]:
    """Open, load and run in one process."""
    import napari
    import numpy as np
    from heart import Heartbeat

    # napari reads this when its settings are imported: nothing is written into the preferences of the user.
    os.environ["NAPARI_CONFIG"] = ""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    rng = np.random.default_rng(0)
    viewer.add_image(rng.poisson(200, (800, 1000)).astype(np.uint16), name="plane")
    spin(2)
    found, heart = {}, Heartbeat(partial(explain, why / 1000) if why else None)
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Denoise")
    wait_for(lambda: dock.opened)
    found["open"] = figures(heart.gaps())
    assert "torch" not in sys.modules
    dock.performance.tile.setValue(128)
    dock.performance.tile.editingFinished.emit()
    with tempfile.TemporaryDirectory() as folder:
        dock.output.place.setCurrentIndex(1)
        dock.output.path.setText(f"{folder}/result.zarr")
        dock.output.path.editingFinished.emit()
        wait_for(lambda: dock.preflight is not None)
        found["load"] = figures(heart.gaps())
        assert dock.preflight.plan.tiles >= 60, dock.preflight.plan.tiles
        dock.bar.run.click()
        wait_for(lambda: not dock.works)
        found["run"] = figures(heart.gaps())
        assert dock.bar.line.text().startswith("Done"), dock.bar.line.text()
        faulthandler.cancel_dump_traceback_later()
        viewer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--why", type=int, default=0, metavar="MS")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.why)))
        return
    command = [sys.executable, "-m", "benchmarks.heartbeat", "--once", "--why", str(options.why)]
    runs = []
    for _ in range(options.repeats):
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        runs.append(json.loads(output.splitlines()[-1]))
        print("  ".join(f"{span} {runs[-1][span]['longest']:4.0f} ms" for span in SPANS), flush=True)
    print(f"longest gap, median of {len(runs)} processes (range); gaps over 50 and over 100 ms, median")
    for span in SPANS:
        longest = [run[span]["longest"] for run in runs]
        over = [statistics.median(run[span][name] for run in runs) for name in ("over50", "over100")]
        print(
            f"{span:<5}{statistics.median(longest):5.0f} ms ({min(longest):.0f} to {max(longest):.0f})"
            f"{over[0]:4.0f}{over[1]:4.0f}"
        )


if __name__ == "__main__":
    main()

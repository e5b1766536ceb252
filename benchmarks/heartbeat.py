"""How long the window of napari stands still while a model loads and while a run goes on.

    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/heartbeat.py
    xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/heartbeat.py --repeats 1 --why 60

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
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SPANS = ("open", "load", "run")


class Heartbeat:
    """The longest time between two beats of a timer on the main thread, in ms, and how many were late."""

    def __init__(self, why: int) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.why, self.gaps, self.last = why / 1000, [0.0], time.perf_counter()
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.setInterval(5)
        self.timer.timeout.connect(self.beat)
        self.timer.start()

    def beat(self) -> None:
        now = time.perf_counter()
        self.gaps.append(1000 * (now - self.last))
        self.last = now
        if self.why:
            if self.gaps[-1] > 1000 * self.why:
                print(f"---- that was {self.gaps[-1]:.0f} ms", file=sys.stderr, flush=True)
            # It writes from a thread that needs no lock of the interpreter.
            faulthandler.dump_traceback_later(self.why)

    def span(self) -> dict[str, float]:
        """Longest gap and number of gaps over 50 and 100 ms since the last call."""
        self.beat()
        gaps, self.gaps = self.gaps, [0.0]
        return {"longest": max(gaps), "over50": sum(g > 50 for g in gaps), "over100": sum(g > 100 for g in gaps)}


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
    """One process: open, load, run."""
    import napari
    import numpy as np

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    rng = np.random.default_rng(0)
    viewer.add_image(rng.poisson(200, (800, 1000)).astype(np.uint16), name="plane")
    spin(2)
    found, heart = {}, Heartbeat(why)
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Denoise")
    found["open"] = heart.span()
    assert "torch" not in sys.modules
    dock.performance.tile.setValue(128)
    dock.performance.tile.editingFinished.emit()
    with tempfile.TemporaryDirectory() as folder:
        dock.output.place.setCurrentIndex(1)
        dock.output.path.setText(f"{folder}/result.zarr")
        dock.output.path.editingFinished.emit()
        wait_for(lambda: dock.look is not None)
        found["load"] = heart.span()
        assert dock.look.plan.tiles >= 60, dock.look.plan.tiles
        dock.bar.run.click()
        wait_for(lambda: not dock.works)
        found["run"] = heart.span()
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
    command = [sys.executable, str(Path(__file__)), "--once", "--why", str(options.why)]
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

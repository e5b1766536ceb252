"""Drive the dock widgets through a whole job in a real window and save screenshots.

``xvfb-run -a -s "-screen 0 1280x800x24" python docs/story.py`` writes docs/images/napari_*.png.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

IMAGES = Path(__file__).parent / "images"
LIMIT = 300


def spin(seconds: float) -> None:
    """Run the event loop for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait_for(done: Callable[[], bool], what: str) -> float:
    """Run the event loop until a condition holds; return the seconds it took."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > LIMIT:
            raise TimeoutError(what)
        spin(0.02)
    return time.monotonic() - began


def main() -> None:
    """Open, preview, compare, run, result."""
    # napari reads this when its settings are imported: nothing is written into the preferences of the user.
    os.environ["NAPARI_CONFIG"] = ""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)

    def save(name: str) -> None:
        spin(0.5)
        IMAGES.mkdir(exist_ok=True)
        viewer.screenshot(str(IMAGES / f"napari_{name}.png"), canvas_only=False, flash=False)

    clean = viewer.open_sample("napari-restore", "cells_clean")
    noisy = viewer.open_sample("napari-restore", "cells_noisy")
    for layer in [*clean, *noisy]:
        layer.visible = layer.name == "actin noisy"
    viewer.layers.selection.active = viewer.layers["actin noisy"]
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Denoise")
    wait_for(lambda: dock.preflight is not None, "a look at the layer")
    save("open")
    dock.bar.preview.click()
    seconds = wait_for(lambda: not dock.works, "the preview")
    print(f"preview: {seconds:.1f} s, {dock.bar.line.text()}")
    save("preview")
    dock.compare.wipe.setValue(50)
    wait_for(lambda: dock.tools.wipe.active and not dock.works, "the wipe")
    save("wipe")
    dock.compare.wipe.setValue(0)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        dock.output.place.setCurrentIndex(1)
        dock.output.path.setText("actin.zarr")
        dock.output.path.editingFinished.emit()
        dock.bar.run.click()
        seconds = wait_for(lambda: not dock.works, "the run")
        print(f"run: {seconds:.1f} s, {dock.bar.line.text()}")
        dock.compare.measure.click()
        wait_for(lambda: bool(dock.compare.figures.text()) and not dock.works, "the figures")
        save("result")
        viewer.theme = "light"
        save("light")
        viewer.close()


if __name__ == "__main__":
    main()

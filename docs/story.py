"""Drive the dock widgets through a whole job in a real window and save screenshots.

``HOME=/home/user xvfb-run -a -s "-screen 0 1440x900x24" python docs/story.py`` writes docs/images/napari_*.png; with
``trust``, ``adapt`` or a number of channels, some of them. The home folder is to be seen in some of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_restore import api

IMAGES = Path(__file__).parent / "images"
LIMIT = 600
CHANNELS = {2: ((1440, 900), "dark"), 3: ((1440, 900), "light"), 4: ((1280, 800), "light")}
"""Size of the window and theme of the pictures with several channels."""


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


def save(viewer: napari.Viewer, name: str) -> None:
    """Save a picture of the window, in 256 colours: they are few, and the file is a third as large."""
    spin(0.5)
    IMAGES.mkdir(exist_ok=True)
    shown = viewer.screenshot(canvas_only=False, flash=False)
    Image.fromarray(shown[..., :3]).quantize(256, dither=Image.Dither.NONE).save(
        IMAGES / f"napari_{name}.png", optimize=True
    )


@contextlib.contextmanager
def in_home() -> Iterator[None]:
    """Work in a new folder of the home folder, as a user would, and remove it."""
    folder = Path.home() / "microscopy"
    folder.mkdir(parents=True)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        shutil.rmtree(folder)


def open_dock(viewer: napari.Viewer) -> Any:
    """Open *Denoise*, and wait until the layer has been looked at."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Denoise")
    wait_for(lambda: dock.preflight is not None and not dock.works, "a look at the layer")
    return dock


def one_channel() -> None:
    """Open, preview, compare, run, result: 1280 × 800, dark, and the end in the light theme."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    clean = viewer.open_sample("napari-restore", "cells_clean")
    noisy = viewer.open_sample("napari-restore", "cells_noisy")
    for layer in [*clean, *noisy]:
        layer.visible = layer.name == "actin noisy"
    viewer.layers.selection.active = viewer.layers["actin noisy"]
    dock = open_dock(viewer)
    save(viewer, "open")
    dock.bar.preview.click()
    seconds = wait_for(lambda: not dock.works, "the preview")
    print(f"preview: {seconds:.1f} s, {dock.bar.line.text()}")
    save(viewer, "preview")
    dock.compare.wipe.setValue(50)
    wait_for(lambda: dock.tools.wipe.active and not dock.works, "the wipe")
    save(viewer, "wipe")
    dock.compare.wipe.setValue(0)
    with in_home():
        dock.output.place.setCurrentIndex(1)
        dock.output.path.setText("actin.zarr")
        dock.output.path.editingFinished.emit()
        dock.bar.run.click()
        seconds = wait_for(lambda: not dock.works, "the run")
        print(f"run: {seconds:.1f} s, {dock.bar.line.text()}")
        dock.compare.measure.click()
        wait_for(lambda: bool(dock.compare.figures.text()) and not dock.works, "the figures")
        save(viewer, "result")
        viewer.theme = "light"
        save(viewer, "light")
        viewer.close()


def channels(count: int) -> None:
    """Compare the channels of one layer."""
    size, theme = CHANNELS[count]
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*size)
    viewer.theme = theme
    noisy = viewer.open_sample("napari-restore", "cells_noisy")
    planes = [np.asarray(layer.data) for layer in noisy]
    scale = noisy[0].scale
    viewer.layers.clear()
    stack = np.stack([*planes, planes[0][::-1]][:count])
    viewer.add_image(stack, name="cells", scale=(1, *scale), axis_labels=("c", "y", "x"))
    dock = open_dock(viewer)
    viewer.scene.camera.zoom *= 1.8  # so that single pixels and their noise can be seen
    dock.bar.preview.click()
    seconds = wait_for(lambda: not dock.works, "the preview")
    print(f"{count} channels, preview: {seconds:.1f} s, {dock.bar.line.text()}")
    dock.compare.wipe.setValue(50)
    wait_for(lambda: dock.tools.wipe.active and not dock.works, "the wipe")
    save(viewer, f"{count}_channels")
    viewer.close()


def trust() -> None:
    """Assess a result with a bar that was never recorded, go to it, and show the map."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    noisy = viewer.open_sample("napari-restore", "cells_noisy")[1]
    scale, source = noisy.scale, np.asarray(noisy.data)
    viewer.layers.clear()
    viewer.add_image(source, name="actin", scale=scale, axis_labels=("y", "x"))
    result = np.asarray(api.denoise(source, axes="YX", dtype="float32", progress=False))
    middle = source.shape[0] // 2
    result[middle : middle + 3, 60:140] += 2.0 * float((source - result).std())
    shown = viewer.add_image(result, name="actin, restored and retouched", scale=scale, axis_labels=("y", "x"))
    shown.contrast_limits = viewer.layers["actin"].contrast_limits
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Trust")
    dock.choose(viewer.layers["actin"], "YX", shown)
    dock.box.assess.click()
    seconds = wait_for(lambda: not dock.works, "the assessment")
    print(f"trust: {seconds:.1f} s, {dock.box.line.text()}")
    dock.box.places.selectRow(0)
    dock.box.places.cellClicked.emit(0, 0)
    dock.box.show_map.click()
    wait_for(lambda: not dock.works, "the map")
    save(viewer, "trust")
    viewer.close()


def adapt() -> None:
    """Adapt the bundled denoiser to an image with lines of a scanner: the live view, a pause, and the end."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    clean = np.asarray(viewer.open_sample("napari-restore", "cells_clean")[1].data).astype(np.float32)
    viewer.layers.clear()
    rng = np.random.default_rng(0)
    spread = 0.12 * float(np.ptp(clean))
    lines = rng.normal(0, spread, (clean.shape[0], 1)) + rng.normal(0, spread / 2, clean.shape)
    viewer.add_image((clean + lines).astype(np.float32), name="lines of a scanner", axis_labels=("y", "x"))
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Adapt to my data")
    with in_home():
        dock.open_now()
        dock.box.path.setText("scanner.safetensors")
        dock.box.minutes.setValue(60)
        dock.box.start.click()
        wait_for(lambda: len(viewer.layers) == 2 and int(viewer.layers[1].name.split()[-1]) > 24, "the live view")
        dock.box.pause.click()
        wait_for(lambda: dock.box.line.text().startswith("Paused"), "the pause")
        save(viewer, "adapt_live")
        dock.box.start.click()  # stop
        seconds = wait_for(lambda: not dock.works and dock.box.state == "idle", "the adaptation")
        print(f"adapt: {seconds:.1f} s, {dock.box.outcome.text() or dock.box.line.text()}")
        save(viewer, "adapt")
        viewer.close()


def main() -> None:
    """Take all pictures, or those of one kind: ``python docs/story.py 3``, ``python docs/story.py trust``."""
    # napari reads this when its settings are imported: nothing is written into the preferences of the user.
    os.environ["NAPARI_CONFIG"] = ""
    others = {"1": one_channel, "trust": trust, "adapt": adapt}
    for name in sys.argv[1:] or (*others, *map(str, CHANNELS)):
        if name in others:
            others[name]()
        else:
            channels(int(name))


if __name__ == "__main__":
    main()

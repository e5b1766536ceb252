"""Measure the time from the click on *Preview* to the picture, in a real window.

    xvfb-run -a -s "-screen 0 1280x800x24" python -m benchmarks.preview

The view is at least 512 x 512 pixels of a uint16 plane, the model is bundled and loaded. A picture counts as there
when the canvas has drawn the preview's layer: the first one, of the middle; the one of all that is on screen; and the
one with the pixels of a run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import napari
import numpy as np

from benchmarks.heartbeat import spin, wait_for

SIDE = 512


def seconds_of(dock: object, viewer: napari.Viewer) -> tuple[float, float, float]:
    """Click once; return the seconds to the first picture, to that of all of the view, and to the pixels of a run."""

    def shown() -> list[np.ndarray]:
        return [layer.data for layer in dock.results.remaining()]  # type: ignore[attr-defined]

    before = shown()
    began = time.perf_counter()
    dock.bar.preview.click()  # type: ignore[attr-defined]
    wait_for(lambda: bool(shown()) and not (before and shown()[0] is before[0]), 0.005)
    viewer.screenshot(canvas_only=True, flash=False)  # draws what there is
    first = time.perf_counter() - began
    wait_for(lambda: bool(shown()) and min(shown()[0].shape) >= SIDE, 0.005)
    viewer.screenshot(canvas_only=True, flash=False)
    whole = time.perf_counter() - began
    wait_for(lambda: not dock.works, 0.005)  # type: ignore[attr-defined]
    viewer.screenshot(canvas_only=True, flash=False)
    return first, whole, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    # napari reads this when its settings are imported: nothing is written into the preferences of the user.
    os.environ["NAPARI_CONFIG"] = ""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    rng = np.random.default_rng(0)
    viewer.add_image(rng.poisson(200, (2048, 2048)).astype(np.uint16), name="plane")
    for title in ("Denoise", "Super-resolution"):
        _, dock = viewer.window.add_plugin_dock_widget("napari-restore", title)
        plane = viewer.layers["plane"]
        viewer.layers.selection.active = plane
        spin(1)  # until the dock widget has its width, and the canvas what is left
        # So many pixels of the screen for one of the image that the shorter side of the canvas shows 512.
        viewer.scene.camera.zoom = min(viewer.canvas.size) / SIDE
        viewer.scene.camera.center = (0, 1024, 1024)
        spin(0.5)
        wait_for(lambda dock=dock: dock.preflight is not None)  # type: ignore[misc]
        times = [seconds_of(dock, viewer) for _ in range(repeats)]
        (layer,) = dock.results.remaining()
        first, whole, exact = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"{title}: {dock.model.model()}, {' x '.join(map(str, layer.data.shape))} pixels, median of {repeats}: "
            f"first picture {first:.2f} s, all of it {whole:.2f} s, the pixels of a run {exact:.2f} s"
        )
        viewer.layers.remove(layer)
        viewer.window.remove_dock_widget(dock.parent())
    viewer.close()


if __name__ == "__main__":
    main()

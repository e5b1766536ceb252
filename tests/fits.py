"""Open the dock widgets in a real window, and print what of them does not fit, as JSON: one list of texts.

``QT_SCALE_FACTOR=2 xvfb-run -a python tests/fits.py``; the factor holds for a whole process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QPoint, QRect, QSize, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollArea,
    QScrollBar,
    QTableWidget,
    QWidget,
)

from napari_restore.assessment.places import Place
from napari_restore.widgets.jobs.advice.verdict import Verdict
from napari_restore.widgets.jobs.compare.figures import Figure, Measures
from napari_restore.widgets.jobs.trust.assessing import BlocksDone

NAME = "2026-11-25_sample-A_well-B03_field-017_cycle-2_very_long_file_name_that_never_ends_0001"
PATH = "/a/very/long/path/that/goes/on/and/on/forever/2026-11-25_sample-A_well-B03.zarr"
WIDTHS = (320, 420, 600)
SIZES = (*((width, 700) for width in WIDTHS), (320, 430))
"""In pixels of the layout; the last one is what a screen of 1280 x 800 leaves at 150 %."""
THEMES = ("dark", "light")
LEAVES = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLabel, QLineEdit)


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        spin(0.05)


def leaves(root: QWidget) -> Iterator[QWidget]:
    """Controls and texts that are to be seen, but for the parts that a control is made of."""
    for kind in LEAVES:
        for widget in root.findChildren(kind):
            inner = isinstance(widget.parent(), (QComboBox, QAbstractSpinBox, QScrollBar))
            if widget.isVisible() and not inner and not isinstance(widget, QScrollBar):
                yield widget


def called(widget: QWidget) -> str:
    text = widget.currentText() if isinstance(widget, QComboBox) else getattr(widget, "text", str)()
    return f"{type(widget).__name__} {str(text)[:30]!r}"


def wanted(widget: QWidget) -> QSize:
    """The size below which something of a widget is cut off."""
    if isinstance(widget, QLabel) and widget.wordWrap():
        return QSize(0, widget.heightForWidth(widget.width()))
    if isinstance(widget, QComboBox):
        return QSize(60, widget.minimumSizeHint().height())  # what does not fit is elided
    return widget.minimumSizeHint()


def faults(dock: Any) -> Iterator[str]:
    """What of a dock widget is cut off, lies over something else, or scrolls without need."""
    roots = [dock.bar] if hasattr(dock, "bar") else []
    if (area := dock.findChild(QScrollArea)) is None:
        roots.append(dock)
    else:
        content, view = area.widget(), area.viewport()
        roots.append(content)
        if area.horizontalScrollBar().maximum() or content.width() > view.width():
            yield f"the column is {content.width()} wide in a viewport of {view.width()}"
        needed = max(0, content.heightForWidth(content.width()) - view.height())
        if area.verticalScrollBar().maximum() > needed:
            yield f"scrolls by {area.verticalScrollBar().maximum()}, needs {needed}"
    for table in dock.findChildren(QTableWidget):
        if table.horizontalScrollBar().maximum():
            yield f"the table scrolls sideways by {table.horizontalScrollBar().maximum()}"
        if table.isVisible() and table.viewport().height() < 3 * table.rowHeight(0):
            yield f"of the table {table.viewport().height()} pixels are to be seen"
    for root in roots:
        placed = {}
        for widget in leaves(root):
            place = QRect(widget.mapTo(root, QPoint(0, 0)), widget.size())
            placed[widget] = place
            if not root.rect().contains(place):
                yield f"{called(widget)} lies at {place.getRect()} in {root.width()} x {root.height()}"
            least = wanted(widget)
            if place.width() < least.width() or place.height() < least.height():
                yield f"{called(widget)} has {place.getRect()}, needs {least.width()} x {least.height()}"
        for (one, here), (other, there) in combinations(placed.items(), 2):
            if here.intersects(there):
                yield f"{called(one)} lies over {called(other)}"


def scrolling(dock: Any) -> Iterator[str]:
    """What scrolls although there is room for all. Before Qt 6.8, no window is taller than the screen."""
    area = dock.findChild(QScrollArea)
    if area is not None and (rest := area.verticalScrollBar().maximum()):
        view, content = area.viewport().height(), area.widget()
        if view >= (needed := content.heightForWidth(content.width())):
            yield f"scrolls by {rest}, where {view} are there for {needed}"


def arrow_faults(dock: Any, theme: str) -> Iterator[str]:
    """The arrow of what can be folded, in the colour of the background."""
    if not hasattr(dock, "performance"):
        return
    image = dock.performance.toggleButton().icon().pixmap(16, 16).toImage()
    pixels = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
    shown = [pixel.lightness() for pixel in pixels if pixel.alpha() > 200]
    if not shown or (np.mean(shown) > 128) != (theme == "dark"):
        yield f"the arrow has a lightness of {np.mean(shown or [-1]):.0f}"


def lasting(look: Callable[[], list[str]]) -> list[str]:
    """Faults that are left when Qt has laid everything out, which takes a while on a busy machine."""
    end = time.monotonic() + 10
    spin(0.25)
    while (found := look()) and time.monotonic() < end:
        spin(0.2)
    return found


def fill_restoring(dock: Any) -> None:
    """Unfold all of Denoise or Super-resolution, and show the longest texts."""
    wait_for(lambda: dock.preflight is not None and not dock.works)
    for fold in (dock.performance, dock.form.missing, dock.form.storage):
        fold.expand(animate=False)
    dock.output.place.setCurrentIndex(1)
    dock.output.path.setText(PATH)
    dock.output.path.editingFinished.emit()
    dock.compare.set_comparisons([f"{NAME} ▸ restormer-denoise-light, preview"], 0)
    figure = Figure("Seams 1.02", "gradient at tile borders over that beside them; about 1", True)
    words = "What was removed looks like pure noise."
    dock.compare.show_measures(NAME, Measures((figure,), words, np.zeros(0, int), 0.0))
    dock.bar.tell(f"{PATH} holds another result; choose another output, or tick Replace.", warning=True, details="d")
    wait_for(lambda: not dock.works)
    verdict = Verdict(
        "Hardly any noise", f"{NAME}: little.", True, helps={"model": "m"}, button="Use restormer-color-denoise-blind"
    )
    dock.verdict.show_verdict(verdict, "Will change: 3 channels × 40 planes, 2.1 GB → OME-Zarr, about 14 min on cpu.")
    dock.memory.row.say(f"As in your last run: model {NAME}.")


def fill_trust(dock: Any) -> None:
    """Show all that an assessment shows, and the progress of another one."""
    wait_for(lambda: not dock.works)
    dock.box.set_running(True)
    dock.box.show_progress(BlocksDone(12, 100))
    dock.box.line.say("⚠ The result shows structure that noise does not explain, most of all at T 20, C 1, Z 112.")
    dock.box.told.say(f"{PATH}: 1,312 places to look at. Assessed before, and stored beside the result.", warning=True)
    places = [
        Place(20 * n, 1, (112, 113), (10304, 10416), (10080, 10144), -9.0 - n, kind, bool(n % 2))
        for n, kind in enumerate(["structure", "contrast", "neighbours"] * 4)
    ]
    dock.box.places.show_places(places, "TCZYX")
    dock.box.places.show()
    dock.box.report.setEnabled(True)
    dock.box.set_maps(True, True, 3)


def fill_adapt(dock: Any) -> None:
    """Show the progress of an adaptation, and the outcome of another one."""
    wait_for(lambda: not dock.works)
    dock.box.path.setText(PATH)
    dock.box.set_state("running")
    dock.box.losses.say("On crops set aside: adapted 0.1234, unadapted 0.1250 (-1.3 %). Best so far: step 1200.")
    dock.box.chosen.say("noise2void: the noise is correlated along lines of X. It takes up to 2.1 GB of memory.")
    dock.box.outcome.say(f"The adapted weights are better by 1.3 % on crops set aside, and are stored in {PATH}.")
    dock.box.tell(f"{PATH} holds other weights; name another file, or tick Replace.", warning=True)
    dock.box.use.show()


FILLED = {
    "Denoise": fill_restoring,
    "Super-resolution": fill_restoring,
    "Trust": fill_trust,
    "Adapt to my data": fill_adapt,
}


def main() -> None:
    # napari reads this when its settings are imported: nothing is written into the preferences of the user.
    os.environ["NAPARI_CONFIG"] = ""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    rng = np.random.default_rng(0)
    for name in (NAME, f"{NAME} ▸ Restormer light"):
        pixels = rng.poisson(100, (2, 40, 50)).astype(np.uint16)
        viewer.add_image(pixels, name=name, axis_labels=("c", "y", "x"))
    viewer.layers.selection.active = viewer.layers[0]
    found: list[str] = []
    docks = []
    for title, fill in FILLED.items():
        outer, dock = viewer.window.add_plugin_dock_widget("napari-restore", title)
        docks.append((outer, dock))
        wait_for(lambda dock=dock: dock.opened)  # type: ignore[misc]
        fill(dock)
        if dock.minimumSizeHint().width() > min(WIDTHS) or dock.minimumWidth() > min(WIDTHS):
            found.append(f"{title} cannot be made {min(WIDTHS)} wide: {dock.minimumSizeHint().width()}")
        outer.setFloating(True)
        for theme in THEMES:
            viewer.theme = theme
            for width, height in SIZES:
                outer.resize(width, height)
                seen = lasting(lambda dock=dock, theme=theme: [*faults(dock), *arrow_faults(dock, theme)])  # type: ignore[misc]
                if abs(dock.width() - width) > 8:
                    found.append(f"{title} is {dock.width()} wide, not {width}")
                found += [f"{title}, {theme}, {width} x {height}: {fault}" for fault in seen]
                if len(sys.argv) > 1:  # a look at it
                    outer.grab().save(str(Path(sys.argv[1]) / f"{title}-{theme}-{width}-{height}.png"))
        # What is long enough to be shown without scrolling does not scroll.
        outer.resize(420, 2000)
        found += [f"{title}: {fault}" for fault in lasting(lambda dock=dock: [*scrolling(dock)])]  # type: ignore[misc]
        outer.setFloating(False)
    window = viewer.window._qt_window
    if window.width() >= 1000:  # what is left of the screen at this factor
        (one, first), (two, second) = docks[:2]
        for outer, _ in docks[2:]:
            outer.hide()
        window.splitDockWidget(one, two, Qt.Orientation.Horizontal)
        window.resizeDocks([one, two], [320, 320], Qt.Orientation.Horizontal)
        spin(0.5)
        for dock in (first, second):
            if dock.width() > 340:
                found.append(f"of two docks side by side one is {dock.width()} wide")
            found += [f"side by side: {fault}" for fault in lasting(lambda dock=dock: [*faults(dock)])]  # type: ignore[misc]
    print(json.dumps(found))
    viewer.close()


if __name__ == "__main__":
    main()

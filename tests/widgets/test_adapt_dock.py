"""Adapt a model in a real window: losses, a live view, pausing, stopping, resuming, and the weights in Denoise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, close_button
from napari import Viewer
from scipy import ndimage

from napari_restore import api
from napari_restore.adapting import adapt, judging, outcome, view
from napari_restore.widgets.adapt_dock import AdaptDock
from napari_restore.widgets.dock import DenoiseDock

# A window of napari that is closed leaves timers and sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TINY = Path(__file__).parents[1] / "weights/restormer-sigma25-tiny.safetensors"
TRUTH = 300 + 150 * np.sin(np.arange(192) / 9) * np.cos(np.arange(192) / 7)[:, None]
TRUTH[:8], TRUTH[8:16] = 1, 800  # the value range, in which the noise is lower than what the model was trained for


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """A few steps are enough to learn something, and judging takes no longer than they do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "LEARNING_RATE", {"scales": 1e-2, "norms": 1e-2})
        patch.setattr(judging, "_PIXELS", 2**13)
        patch.setattr(adapt, "CROP", 32)
        patch.setattr(outcome, "SIGNIFICANT", 0.1)  # how many steps are done before the click differs
        yield


def open_dock(viewer: Viewer, output: Path) -> AdaptDock:
    _, dock = viewer.window.add_plugin_dock_widget("napari-restore", "Adapt to my data")
    dock.open_now()
    dock.input.choose("noisy")
    dock.model.choose(str(TINY))
    dock.box.path.setText(str(output))
    return dock


def choose_r2r(dock: AdaptDock) -> None:
    """The image of this test is so small that its structure looks like correlated noise."""
    dock.box.method.setCurrentIndex(dock.box.method.findData("r2r"))


def until_idle(qtbot: Any, dock: AdaptDock) -> None:
    qtbot.waitUntil(lambda: dock.box.state == "idle" and not dock.works)


def declined(qtbot: Any, viewer: Viewer, out: Path) -> AdaptDock:
    """The dock widget, after it has declined a layer without noise."""
    viewer.add_image(np.random.default_rng(0).poisson(TRUTH).astype(np.uint16), name="noisy")
    viewer.add_image(np.full((64, 64), 7.0, np.float32), name="constant")
    dock = open_dock(viewer, out)
    box = dock.box
    dock.input.choose("constant")
    click(qtbot, box.start)
    until_idle(qtbot, dock)
    assert box.outcome.text().startswith("Adapting was declined: its noise cannot be estimated")
    assert not box.use.isVisible() and not out.exists()
    return dock


def test_a_layer_that_cannot_teach_is_declined(qtbot: Any, viewer: Viewer, tmp_path: Path) -> None:
    declined(qtbot, viewer, tmp_path / "mine.safetensors")


def test_clean_images_of_another_layer_are_the_targets(qtbot: Any, viewer: Viewer, tmp_path: Path) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 60, TRUTH.shape), 0.7)
    viewer.add_image((TRUTH + noise).astype(np.float32), name="noisy")
    dock = open_dock(viewer, tmp_path / "mine.safetensors")
    box = dock.box
    assert [box.clean.itemText(k) for k in range(box.clean.count())] == ["none"]
    viewer.add_image(TRUTH.astype(np.float32), name="long exposure")
    viewer.add_image(TRUTH[:100].astype(np.float32), name="other")
    dock.input.choose("noisy")
    assert [box.clean.itemText(k) for k in range(box.clean.count())] == ["none", "long exposure"]
    viewer.layers["long exposure"].name = "average"
    box.clean.setCurrentIndex(1)
    assert box.clean.currentText() == "average"
    box.minutes.setValue(0.05)
    click(qtbot, box.start)
    until_idle(qtbot, dock)
    assert "supervised: clean images are given" in box.chosen.text()
    assert box.outcome.text().startswith("Adapting has helped") and (tmp_path / "mine.safetensors").exists()


def test_what_is_reached_is_shown_and_a_pause_waits(qtbot: Any, viewer: Viewer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stack = np.stack([np.full(TRUTH.shape, 300.0), TRUTH])
    noisy = viewer.add_image(rng.poisson(stack).astype(np.uint16), name="noisy", scale=(2, 0.5, 0.5))
    viewer.dims.set_point(0, 2.0)
    dock = open_dock(viewer, tmp_path / "mine.safetensors")
    box = dock.box
    choose_r2r(dock)
    box.minutes.setValue(60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "SECONDS", 0.0)
        patch.setattr(adapt, "PATIENCE", 10**6)
        patch.setattr(view, "LARGEST", 64)
        click(qtbot, box.start)
        qtbot.waitUntil(lambda: len(viewer.layers) == 2)
        shown = viewer.layers[1]
        assert shown.data.shape == (1, 64, 64) and np.allclose(shown.scale, noisy.scale)
        truth = TRUTH[64:128, 64:128]
        first = tuple(np.rint(np.asarray(shown.translate) / noisy.scale).astype(int))
        assert first == (1, 64, 64), "the plane of the slider, in the middle of the view"
        assert np.abs(shown.data[0] - truth).mean() < np.abs(noisy.data[1, 64:128, 64:128] - truth).mean()
        assert viewer.layers.selection.active is noisy and dock.input.layer() is noisy

        click(qtbot, box.pause)
        qtbot.waitUntil(lambda: box.line.text().startswith("Paused at step "))
        assert box.pause.text() == "Go on" and box.start.text() == "Stop"
        qtbot.wait(500)  # the event of the step in progress has arrived
        paused_at = box.bar.value()
        qtbot.wait(500)
        assert box.bar.value() == paused_at
        step = shown.name
        click(qtbot, box.pause)
        qtbot.waitUntil(lambda: box.bar.value() > paused_at and shown.name != step)
        assert box.pause.text() == "Pause"

        viewer.layers.remove(shown)  # it does not come back
        at = box.bar.value()
        qtbot.waitUntil(lambda: box.bar.value() > at + 2)
        assert list(viewer.layers) == [noisy]
        box.view.setChecked(False)
        box.view.setChecked(True)
        qtbot.waitUntil(lambda: len(viewer.layers) == 2)
        click(qtbot, box.pause)
        click(qtbot, close_button(dock))
        qtbot.waitUntil(lambda: list(viewer.layers) == [noisy])


@pytest.mark.long
def test_it_is_interrupted_resumed_stopped_and_used(qtbot: Any, viewer: Viewer, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    dock = declined(qtbot, viewer, out)
    box = dock.box
    dock.input.choose("noisy")
    choose_r2r(dock)
    box.minutes.setValue(60)
    click(qtbot, box.start)
    assert box.start.text() == "Stop" and box.chosen.text() == "" and not box.path.isEnabled()
    qtbot.waitUntil(lambda: "left" in box.line.text())
    assert box.chosen.text().startswith("r2r: ") and "MB of memory" in box.chosen.text()
    assert box.line.text().startswith("Step ") and box.bar.maximum() > 1
    work = dock.works["adapt"]
    click(qtbot, close_button(dock))  # the state is kept
    qtbot.waitUntil(work.finished.is_set)
    assert not out.exists() and out.with_name(".mine.adapting").exists()

    dock = open_dock(viewer, out)
    box = dock.box
    choose_r2r(dock)
    assert box.start.text() == "Resume"
    box.minutes.setValue(60)
    click(qtbot, box.start)
    qtbot.waitUntil(lambda: box.bar.value() > 8)
    click(qtbot, box.start)
    assert box.start.text() == "Stopping…" and not box.start.isEnabled()
    until_idle(qtbot, dock)
    assert box.outcome.text().startswith("Adapting has helped (-") and out.exists(), box.line.text()
    assert api.model_card(out).training["method"] == "r2r"
    viewer.add_image(np.zeros((64, 64), np.uint16), name="another")
    click(qtbot, box.use)
    (denoise,) = dock.window().findChildren(DenoiseDock)
    assert denoise.model.model() == str(out) and denoise.input.layer().name == "noisy"
    dock.input.choose("noisy")

    click(qtbot, box.start)
    until_idle(qtbot, dock)
    assert box.line.text() == f"⚠ {out} exists already; tick Replace to replace it."
    box.overwrite.setChecked(True)
    box.minutes.setValue(0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcome, "SIGNIFICANT", 1e9)
        patch.setattr(adapt, "PATIENCE", 1)
        click(qtbot, box.start)
        qtbot.waitUntil(lambda: "unadapted" in box.losses.text())
        dock.finish()
        until_idle(qtbot, dock)
    assert "did not help here (" in box.outcome.text() and "is kept" in box.outcome.text()
    assert not box.use.isVisible() and not box.overwrite.isChecked()

"""Each control of the dock widgets, by its real widget."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docks import click, dock_in, to_disk, until_idle, until_looked
from napari import Viewer
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QScrollBar,
    QWidget,
)

from napari_restore import api
from napari_restore.images.store import filesystem
from napari_restore.images.writing import ome_zarr
from napari_restore.widgets.dock import DenoiseDock, RestoreDock, SuperResolutionDock
from napari_restore.widgets.jobs.controller import Choices, Job, restore
from napari_restore.widgets.jobs.layers import whole
from napari_restore.widgets.jobs.preflight import look
from napari_restore.widgets.panels.output_box import OutputBox

CONTROLS = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractSlider)


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has fetched no weights yet."""
    monkeypatch.setenv("NAPARI_RESTORE_MODELS", str(tmp_path / "models"))


def controls(dock: RestoreDock) -> list[QWidget]:
    """Everything that can be clicked or typed into, but for the parts that such widgets are made of."""
    found = [widget for kind in CONTROLS for widget in dock.findChildren(kind)]
    inner = (QComboBox, QAbstractSpinBox)
    return [w for w in found if not isinstance(w.parent(), inner) and not isinstance(w, QScrollBar)]


@pytest.mark.parametrize("kind", [DenoiseDock, SuperResolutionDock])
def test_every_control_has_a_tooltip_and_follows_in_order(qtbot: Any, viewer: Viewer, kind: type[RestoreDock]) -> None:
    dock = dock_in(viewer, kind=kind)
    found = controls(dock)
    assert len(found) > 20
    assert not [(type(w).__name__, w.parent()) for w in found if not w.toolTip()]
    dock.performance.expand(animate=False)
    to_disk(dock, Path("o.zarr"))
    performance = dock.performance
    # Unfolded, and laid out: its rows are apart.
    qtbot.waitUntil(
        lambda: performance.halo.mapTo(dock, QPoint()).y() > performance.device.mapTo(dock, QPoint(0, 60)).y()
    )
    chain, widget = [], dock.input.layers
    while widget not in chain:
        chain.append(widget)
        widget = widget.nextInFocusChain()
    by_tab = [w for w in chain if w in found and w.isVisible() and w.focusPolicy() & Qt.FocusPolicy.TabFocus]
    middle = {w: w.mapTo(dock, QPoint(0, w.height() // 2)) for w in by_tab}
    scrolled = [w for w in by_tab if not dock.bar.isAncestorOf(w)]
    for part in (scrolled, by_tab[len(scrolled) :]):  # the run bar stands below what can be scrolled
        for widget, following in pairwise(part):
            down = middle[following].y() - middle[widget].y()
            beside = abs(down) <= 10 and middle[following].x() > middle[widget].x()
            assert down > 10 or beside, following.toolTip()
    assert by_tab[: len(scrolled)] == scrolled
    assert by_tab[0] is dock.input.layers and dock.bar.run in by_tab


def test_follows_layers(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    other = viewer.add_image(np.zeros((40, 50, 3), np.uint8), name="colour")
    assert dock.input.layer() is other and dock.input.axes.text() == "YXS"
    other.name = "renamed"
    assert dock.input.layers.currentText() == "renamed"
    viewer.layers.selection.active = viewer.layers["cells"]
    assert dock.input.layers.currentText() == "cells" and dock.input.axes.text() == "ZYX"
    dock.input.layers.setCurrentIndex(1)
    viewer.layers.remove(other)
    assert dock.input.layers.count() == 1 and dock.input.layers.currentText() == "cells"
    viewer.layers.clear()
    assert "Open Sample" in dock.input.description.text()
    click(qtbot, dock.bar.run)
    assert "no image layer" in dock.bar.line.text()


def choose_region(dock: RestoreDock, kind: str) -> None:
    dock.input.regions.setCurrentIndex(dock.input.regions.findData(kind))


def test_regions(qtbot: Any, viewer: Viewer, dock: RestoreDock) -> None:
    viewer.dims.set_current_step(0, 1)
    choose_region(dock, "planes")
    assert dock.input.extent.text() == "Z 1 · Y 0–74 · X 0–109"
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: dock.input.extent.text().startswith("Z 2"))
    choose_region(dock, "rectangle")
    assert dock.input.extent.text().startswith("⚠ there is no rectangle")
    shapes = viewer.add_shapes([np.array([[5, 5], [5, 30], [20, 30], [20, 5]])], shape_type="rectangle")
    qtbot.waitUntil(lambda: dock.input.extent.text() == "Z 0–2 · Y 10–40 · X 10–60")
    shapes.data = [np.array([[5, 5], [5, 10], [20, 10], [20, 5]])]
    qtbot.waitUntil(lambda: dock.input.extent.text() == "Z 0–2 · Y 10–40 · X 10–20")
    until_looked(qtbot, dock)
    assert dock.look is not None and dock.look.plan.shape == (3, 31, 11)
    choose_region(dock, "view")
    before = dock.input.extent.text()
    viewer.scene.camera.zoom *= 4
    qtbot.waitUntil(lambda: dock.input.extent.text() != before)
    until_looked(qtbot, dock)
    assert dock.look is not None and dock.look.plan.shape[0] == 1 and dock.look.plan.shape[2] < 110
    choose_region(dock, "whole")
    assert dock.input.extent.isHidden()


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(("kind", "first"), [(DenoiseDock, api.DENOISER), (SuperResolutionDock, api.UPSCALERS[2])])
def test_models_are_grouped_and_say_what_they_are(viewer: Viewer, kind: type[RestoreDock], first: str) -> None:
    dock = dock_in(viewer, kind=kind)
    models = dock.model.models
    items = [models.model().item(i) for i in range(models.count())]
    headings = [item.text() for item in items if not item.isEnabled()]
    restormer = ["Restormer"] if kind is DenoiseDock else []
    assert headings == ["Bundled", *restormer, "SwinIR", "Your file"]
    assert models.currentText() == first and "Bundled" in dock.model.description.text()
    shown = {item.text() for item in items if item.isEnabled()}
    cards = [card for card in api.models() if (card.scale > 1) == (kind is SuperResolutionDock)]
    assert {card.name for card in cards} - shown <= {"restormer-dual-pixel-deblur"}
    name = "swinir-gray-denoise-25" if kind is DenoiseDock else "swinir-classical-df2k-x4"
    models.setCurrentText(name)
    text = dock.model.description.text()
    assert "Trained for" in text and "Apache-2.0" in text and "Will download" in text and " MB" in text
    assert not dock.model.fetch.isHidden() and dock.model.fetch.text().startswith("Download ")


def drop(box: QWidget, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entering = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, button, keys)
    QApplication.sendEvent(box, entering)
    assert entering.isAccepted()
    QApplication.sendEvent(box, QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, button, keys))


def test_a_checkpoint_that_is_dropped_says_what_it_is(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    dock = dock_in(viewer)  # no layer is needed
    drop(dock.model, checkpoints["upscaler"])
    assert dock.model.model() == str(checkpoints["upscaler"])
    qtbot.waitUntil(lambda: "Super-resolution ×2; gray" in dock.model.description.text(), timeout=30_000)
    assert dock.model.fetch.isHidden()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    drop(dock.model, broken)
    qtbot.waitUntil(lambda: dock.model.description.text().startswith("⚠"), timeout=30_000)
    until_idle(qtbot, dock)


@pytest.mark.usefixtures("no_weights")
def test_noise_that_does_not_fit_is_warned_of_before_any_download(qtbot: Any, viewer: Viewer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = 128 + 60 * np.sin(np.arange(256) / 30) * np.ones((256, 1))
    viewer.add_image((smooth + rng.normal(0, 50, smooth.shape)).astype(np.float32), name="noisy")
    dock = dock_in(viewer)
    qtbot.keyClicks(dock.output.low, "0")
    qtbot.keyClicks(dock.output.high, "255")
    dock.model.models.setCurrentText("swinir-gray-denoise-15")
    until_looked(qtbot, dock)
    text = dock.model.noise.text()
    assert text.startswith("⚠ Noise here: σ 5") and "the model expects 5.9 %" in text
    assert "expects less noise" in text and "swinir-gray-denoise-50 fits better" in text
    assert "time known after the download" in dock.output.cost.text()
    dock.model.models.setCurrentText("swinir-gray-denoise-50")
    qtbot.waitUntil(lambda: dock.model.noise.text().endswith("the model expects 20 %."), timeout=30_000)
    assert not (tmp_path / "models").exists()


@pytest.mark.usefixtures("no_weights")
def test_weights_are_fetched_on_request(qtbot: Any, viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []

    def slow(model: str, progress: Any) -> None:
        try:
            for done in range(1000):
                progress(done * 10**6, 10**9)
                time.sleep(0.01)
        except BaseException:
            stopped.append(model)
            raise

    monkeypatch.setattr(api, "fetch", slow)
    dock = dock_in(viewer)
    dock.model.models.setCurrentText("swinir-gray-denoise-15")
    click(qtbot, dock.model.fetch)
    qtbot.waitUntil(lambda: "of 1.0 GB · Cancel" in dock.model.fetch.text())
    click(qtbot, dock.model.fetch)
    until_idle(qtbot, dock)
    assert stopped == ["swinir-gray-denoise-15"] and dock.model.fetch.text().startswith("Download ")

    def fails(model: str, progress: Any) -> None:
        raise OSError("no way there")

    monkeypatch.setattr(api, "fetch", fails)
    click(qtbot, dock.model.fetch)
    until_idle(qtbot, dock)
    assert "no way there" in dock.bar.line.text() and dock.model.fetch.text().startswith("Download ")


def test_a_range_is_that_of_the_run(qtbot: Any, dock: RestoreDock) -> None:
    until_looked(qtbot, dock)
    assert dock.look is not None
    ((low, high),) = dock.look.plan.recipe.value_range
    assert (dock.output.low.placeholderText(), dock.output.high.placeholderText()) == (f"{low:g}", f"{high:g}")
    qtbot.keyClicks(dock.output.low, "100.25")
    qtbot.keyClicks(dock.output.high, "90")
    qtbot.keyClick(dock.output.high, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "100.25..90" in dock.output.cost.text())
    qtbot.keyClicks(dock.output.high, "0.5")
    qtbot.keyClick(dock.output.high, Qt.Key.Key_Return)
    until_looked(qtbot, dock)
    assert dock.look.plan.recipe.value_range == ((100.25, 900.5),)
    click(qtbot, dock.output.range.reset)
    assert dock.choices().recipe.value_range is None


def test_a_range_for_each_channel(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    pixels = np.random.default_rng(0).poisson((100, 1000), (40, 48, 2)).astype(np.uint16).transpose(2, 0, 1)
    viewer.add_image(pixels, name="two", axis_labels=("c", "y", "x"))
    dock = dock_in(viewer, checkpoints["denoiser"])
    until_looked(qtbot, dock)
    edit = dock.output.range
    assert not edit.channel.isHidden() and edit.low.placeholderText() == "per channel"
    edit.channel.setCurrentIndex(2)
    qtbot.keyClicks(edit.low, "800")
    qtbot.keyClicks(edit.high, "1200")
    qtbot.keyClick(edit.high, Qt.Key.Key_Return)
    assert dock.look is None
    until_looked(qtbot, dock)
    assert dock.look is not None
    first, second = dock.look.plan.recipe.value_range
    assert second == (800, 1200) and first[1] < 800
    # One range that is given for all stands in for the channels without one.
    edit.channel.setCurrentIndex(0)
    qtbot.keyClicks(edit.low, "1")
    qtbot.keyClicks(edit.high, "2")
    assert dock.choices().recipe.value_range == ((1.0, 2.0), (800.0, 1200.0))
    viewer.layers.clear()
    assert edit.channel.isHidden()


def test_the_noise_of_the_camera(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    ramp = np.tile(np.linspace(5, 300, 200), (200, 1))
    pixels = np.rint(100 + 4 * np.random.default_rng(0).poisson(ramp)).astype(np.uint16)
    viewer.add_image(pixels, name="photons")
    dock = dock_in(viewer, checkpoints["denoiser"])
    edit = dock.output.intensity
    until_looked(qtbot, dock)
    assert edit.kind.currentText() == "Auto: percentiles" and edit.noise.isHidden()
    edit.kind.setCurrentText("Camera noise")
    until_looked(qtbot, dock)
    assert dock.look is not None and dock.choices().recipe.intensity == "poisson-gaussian"
    ((gain, _, _),) = dock.look.plan.recipe.noise
    assert gain == pytest.approx(4, rel=0.15) and edit.noise.placeholderText().startswith(f"{gain:.3g}, ")
    qtbot.keyClicks(edit.noise, "4, 100")
    qtbot.keyClick(edit.noise, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "'4, 100' is not three numbers" in dock.output.cost.text())
    qtbot.keyClicks(edit.noise, ", 2.5")
    qtbot.keyClick(edit.noise, Qt.Key.Key_Return)
    until_looked(qtbot, dock)
    assert dock.look.plan.recipe.noise == ((4.0, 100.0, 2.5),)
    # What was chosen comes back from a recipe.
    chosen = dock.choices()
    edit.set_kind(None)
    edit.set_noise(None)
    assert dock.choices().recipe.noise is None and edit.noise.isHidden()
    dock.form.show_choices(chosen)
    assert dock.choices() == chosen and not edit.noise.isHidden()


def test_memory_only_where_it_fits(
    qtbot: Any, dock: RestoreDock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    until_looked(qtbot, dock)
    assert dock.output.place.model().item(0).isEnabled()
    monkeypatch.setattr("napari_restore.widgets.jobs.preflight._available", lambda: 80_000)
    dock.look_again()
    until_looked(qtbot, dock)
    assert dock.output.cost.text().startswith("⚠ the result takes 49.5 kB, and of 80.0 kB free memory half")
    assert not dock.output.place.model().item(0).isEnabled() and "half" in dock.output.place.toolTip()
    assert "Noise here" in dock.model.noise.text()  # the rest is told all the same
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert "choose an OME-Zarr" in dock.bar.line.text()
    to_disk(dock, tmp_path / "o.zarr")
    until_looked(qtbot, dock)
    assert dock.output.cost.text().startswith("49.5 kB to disk, ")


def test_an_output_that_is_in_the_way(qtbot: Any, dock: RestoreDock, tmp_path: Path) -> None:
    (tmp_path / "o.zarr").mkdir()
    (tmp_path / "o.zarr" / "mine.txt").write_text("mine")
    to_disk(dock, tmp_path / "o.zarr")
    until_looked(qtbot, dock)
    assert dock.output.cost.text().startswith("⚠") and "o.zarr" in dock.output.cost.text()


def test_output_and_performance_are_those_of_the_run(qtbot: Any, dock: RestoreDock, tmp_path: Path) -> None:
    to_disk(dock, tmp_path / "o")
    dock.output.dtype.setCurrentText("float32")
    click(qtbot, dock.output.pyramid)
    click(qtbot, dock.performance.toggleButton())
    assert dock.performance.isExpanded()
    dock.performance.device.setCurrentIndex(dock.performance.device.findData("cpu"))
    dock.performance.precision.setCurrentText("bfloat16")
    for spin, text in ((dock.performance.tile, "128"), (dock.performance.halo, "16")):
        spin.selectAll()
        qtbot.keyClicks(spin, text)
        qtbot.keyClick(spin, Qt.Key.Key_Return)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done."
    attributes = ome_zarr.read_attributes(tmp_path / "o.zarr")
    assert attributes is not None
    wanted = {"dtype": "float32", "pyramid": False, "device": "cpu", "precision": "bfloat16", "tile": 128, "halo": 16}
    assert {name: attributes["recipe"][name] for name in wanted} == wanted
    dock.output.dtype.setCurrentText("uint8")
    until_looked(qtbot, dock)
    assert dock.output.cost.text().startswith("⚠")  # another recipe is there
    click(qtbot, dock.output.overwrite)
    until_looked(qtbot, dock)
    assert not dock.output.cost.text().startswith("⚠")


def test_auto_says_what_it_stands_for(qtbot: Any, viewer: Viewer, stack: np.ndarray) -> None:
    viewer.add_image(stack, name="cells")
    dock = dock_in(viewer)
    until_looked(qtbot, dock)
    performance = dock.performance
    assert performance.tile.text() == f"auto ({api.model_card(api.DENOISER).tile})"
    assert performance.halo.text() == "auto (16)" and performance.device.currentText().startswith("auto (")
    assert performance.precision.currentText() in ("auto (float32)", "auto (bfloat16)")
    assert {performance.device.itemData(i) for i in range(performance.device.count())} >= {"auto", *api.devices()}
    assert dock.choices().settings() == {}


def test_a_memory_budget_is_that_of_the_run(qtbot: Any, dock: RestoreDock) -> None:
    dock.performance.memory.setValue(1.5)
    until_looked(qtbot, dock)
    assert dock.look is not None and dock.look.plan.recipe.memory_budget == 1_500_000_000


def test_settings_of_a_recipe_without_control_are_shown_and_dropped(qtbot: Any, dock: RestoreDock) -> None:
    dock.form.show_choices(dock.choices().replaced(blend=8))
    assert dock.choices().recipe.blend == 8 and not dock.form.carried_row.isHidden()
    click(qtbot, dock.form.drop)
    assert dock.choices().recipe.blend is None and dock.form.carried_row.isHidden()


def test_the_menu_copies_saves_and_loads(
    qtbot: Any, dock: RestoreDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {action.text(): action for action in dock.bar.menu.actions()}
    assert all(action.toolTip() != action.text() for action in entries.values())
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    to_disk(dock, tmp_path / "o.zarr")
    entries["Copy as Python"].trigger()
    compile(clipboard.text(), "copied", "exec")
    assert "layer_image(layer, 'ZYX')" in clipboard.text() and "tile=96, halo=8" in clipboard.text()
    entries["Copy as command"].trigger()
    assert dock.bar.line.text().startswith("⚠ the command line restores whole files")
    chosen = dock.choices()
    path = str(tmp_path / "recipe.json")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (path, ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    entries["Save recipe…"].trigger()
    dock.output.place.setCurrentIndex(0)
    dock.performance.tile.setValue(0)
    entries["Load recipe…"].trigger()
    assert dock.choices() == chosen
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    entries["Load recipe of an OME-Zarr…"].trigger()
    assert dock.bar.line.text().startswith("⚠") and "holds no recipe" in dock.bar.line.text()


def test_a_typed_url_is_where_the_result_goes(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], stack: np.ndarray
) -> None:
    """An object store has no limit to show; blocks that are there are counted all the same."""
    url = "memory://dock/o.zarr"
    box = OutputBox()
    qtbot.addWidget(box)
    box.folder = "/data"
    box.place.setCurrentIndex(1)
    box.path.setText(f" {url} ")
    assert box.output() == url
    layer = viewer.add_image(stack, name="cells")
    job = Job.of(layer, "ZYX", whole(layer), Choices.of(str(checkpoints["denoiser"]), tile=96, halo=8, output=url))
    try:
        first = look(job)
        box.show_look(first)
        assert (first.free_bytes, first.blocks_there, first.obstacle) == (None, 0, "")
        assert "to the object store, about" in box.cost.text()
        for _ in restore(job):
            pass
        assert look(job).blocks_there == first.plan.blocks
    finally:
        filesystem("memory://dock")[0].rm("/dock", recursive=True)

"""Where nothing is restored yet, the source is seen: during a run, after Cancel, around a preview and a region."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canvas import all_in_view, on_canvas
from docks import click, dock_in, to_disk, until_idle, until_preflight
from napari import Viewer
from numpy.typing import NDArray

from napari_restore import api
from napari_restore.images.writing import ome_zarr
from napari_restore.widgets.jobs.run import BlocksStored, Started, restore

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BRIGHT = 100
"""Of 255: what is drawn of these images. What is not restored was 0."""


def bright(*shape: int, dtype: str = "uint16") -> NDArray[Any]:
    """Noise about two thirds of the limits, so that no restored pixel comes near to black."""
    level, limit = (10_000, 100) if dtype == "uint16" else (170, 4)
    return (level + np.random.default_rng(0).normal(0, limit, shape)).astype(dtype)


KINDS: dict[str, tuple[tuple[int, ...], dict[str, Any], str]] = {
    "stack": ((10, 90, 100), {"axis_labels": ("z", "y", "x")}, "denoiser"),
    "additive": ((10, 90, 100), {"axis_labels": ("z", "y", "x"), "blending": "additive"}, "denoiser"),
    "channels": ((6, 2, 90, 100), {"axis_labels": ("t", "c", "y", "x"), "blending": "additive"}, "denoiser"),
    "colour": ((6, 90, 100, 3), {"axis_labels": ("z", "y", "x"), "rgb": True}, "colour_denoiser"),
}


def darkest(viewer: Viewer, layer: Any) -> int:
    """The darkest pixel that is drawn where a layer lies, but for its edges."""
    picture = np.asarray(viewer.screenshot(canvas_only=True, flash=False))[..., :3].max(-1)
    rest = (0,) * (layer.ndim - 2)
    height, width = (layer.data[0] if layer.multiscale else layer.data).shape[layer.ndim - 2 : layer.ndim]
    first, last = on_canvas(viewer, layer, (*rest, 1, 1)), on_canvas(viewer, layer, (*rest, height - 2, width - 2))
    return int(picture[first.y() : last.y(), first.x() : last.x()].min())


def source_in(viewer: Viewer, kind: str) -> Any:
    shape, arguments, _ = KINDS[kind]
    data = bright(*shape, dtype="uint8" if kind == "colour" else "uint16")
    limits = {} if kind == "colour" else {"contrast_limits": (0, 15_000)}
    return viewer.add_image(data, name="cells", **arguments, **limits)


def look(qtbot: Any, viewer: Viewer, step: int) -> int:
    viewer.dims.set_current_step(0, step)
    qtbot.wait(20)
    return darkest(viewer, viewer.layers["cells"])


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_shows_the_source_where_it_has_not_been(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path, kind: str, stored: bool
) -> None:
    source = source_in(viewer, kind)
    count = source.data.shape[0]
    dock = dock_in(viewer, checkpoints[KINDS[kind][2]])
    if stored:
        to_disk(dock, tmp_path / "o.zarr")
    until_preflight(qtbot, dock)
    all_in_view(qtbot, viewer)
    assert look(qtbot, viewer, 0) > BRIGHT
    click(qtbot, dock.bar.run)
    seen, filling = [], False
    while dock.bar.state != "idle" or dock.works:
        seen += [look(qtbot, viewer, step) for step in (count - 1, 0)]
        filling = filling or any(layer.visible for layer in dock.results.remaining())
    assert filling and min(seen) > BRIGHT, seen
    assert dock.bar.line.text() == "Done."
    # All is restored: the source is hidden, and the layers hold the result itself.
    assert not source.visible and {layer.blending for layer in dock.results.layers} <= {
        source.blending,
        "translucent",
        "additive",
    }
    for layer in dock.results.layers:
        level = layer.data[0] if layer.multiscale else layer.data
        assert level.dtype == source.data.dtype and isinstance(level, np.ndarray) is not stored
        assert layer.rgb == source.rgb and level.shape[-1] == source.data.shape[-1]
    assert min(look(qtbot, viewer, step) for step in range(count)) > BRIGHT


def test_what_is_on_screen_is_restored_first(viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    viewer.add_image(bright(9, 60, 70), name="cells", axis_labels=("t", "y", "x"))
    dock = dock_in(viewer, checkpoints["denoiser"])
    viewer.dims.set_current_step(0, 6)
    one_worker = dock.choices().recipe.model_copy(update={"workers": 1})  # blocks end in the order they began in
    dock.form.show_choices(replace(dock.choices(), recipe=one_worker))
    for output in (None, tmp_path / "o.zarr"):
        if output is not None:
            to_disk(dock, output)
        blocks, filled = [], []
        for event in restore(dock.job(), dock.region_on_screen()):
            if isinstance(event, Started):
                view = event.levels[0]
                assert np.isnan(np.asarray(view[:, 0, 0])).all()
            elif isinstance(event, BlocksStored):
                filled.append(int((~np.isnan(np.asarray(view[:, 0, 0]))).sum()))
            elif event.block is not None:
                blocks.append(event.block[0])
        assert sorted(blocks) == list(range(9)) and filled == sorted(filled)
        assert not np.isnan(np.asarray(view[:, 0, 0])).any()
        assert blocks == [6, *(index for index in range(9) if index != 6)]
        if output is None:
            plan = dock.job().plan()
            both = (slice(3, 5), slice(0, 60), slice(0, 70))
            events = api.run(plan, np.empty(plan.shape, plan.dtype), first=both)
            assert [event.block[0] for event in events if event.block] == [3, 4, 0, 1, 2, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "kind", ["stack", *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS if kind != "stack")]
)
def test_after_cancel_the_source_is_where_nothing_is_restored(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    source = source_in(viewer, kind)
    dock = dock_in(viewer, checkpoints[KINDS[kind][2]])
    to_disk(dock, tmp_path / "o.zarr")
    until_preflight(qtbot, dock)
    click(qtbot, dock.bar.run)
    qtbot.waitUntil(lambda: (tmp_path / "o.zarr").exists() and ome_zarr.stored_units(tmp_path / "o.zarr", 0).any())
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text().startswith("Cancelled; stored blocks are kept")
    assert not ome_zarr.stored_units(tmp_path / "o.zarr", 0).all()
    all_in_view(qtbot, viewer)
    assert source.visible and all(layer.visible for layer in dock.results.layers)
    assert min(look(qtbot, viewer, step) for step in range(source.data.shape[0])) > BRIGHT
    click(qtbot, dock.compare.difference)
    qtbot.waitUntil(lambda: "the result is not complete" in dock.bar.line.text())
    qtbot.waitUntil(lambda: dock.bar.run.text() == "Resume")
    click(qtbot, dock.bar.run)  # the advice
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done." and not source.visible


@pytest.mark.parametrize("kind", KINDS)
def test_a_region_covers_no_more_than_itself(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], kind: str
) -> None:
    source = source_in(viewer, kind)
    dock = dock_in(viewer, checkpoints[KINDS[kind][2]])
    viewer.dims.set_current_step(0, 2)
    dock.input.regions.setCurrentIndex(3)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done." and source.visible
    all_in_view(qtbot, viewer)
    assert min(look(qtbot, viewer, step) for step in range(4)) > BRIGHT
    # Not added to the source, where the two overlap.
    picture = np.asarray(viewer.screenshot(canvas_only=True, flash=False))[..., :3]
    assert picture.max() < 250 or kind == "channels"
    assert look(qtbot, viewer, 2) > BRIGHT
    dock.compare.wipe.setValue(50)
    qtbot.waitUntil(lambda: dock.tools.wipe.active and not dock.works)
    assert all(np.asarray(layer.data).min() > 0 for layer in dock.tools.wipe.layers)


@pytest.mark.parametrize("blending", ["translucent", pytest.param("additive", marks=pytest.mark.long)])
def test_the_source_is_seen_around_a_preview(
    qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], blending: str
) -> None:
    source = viewer.add_image(bright(320, 360), name="cells", contrast_limits=(0, 15_000), blending=blending)
    dock = dock_in(viewer, checkpoints["denoiser"])
    until_preflight(qtbot, dock)
    all_in_view(qtbot, viewer)
    click(qtbot, dock.bar.preview)
    seen = []
    while dock.bar.state != "idle" or dock.works:
        qtbot.wait(20)
        seen.append(darkest(viewer, source))
    viewer.scene.camera.zoom *= 0.7  # what lies around what was on screen
    qtbot.wait(50)
    assert min(seen) > BRIGHT and darkest(viewer, source) > BRIGHT and source.visible
    assert len(dock.results.remaining()) == 1


def test_a_view_of_a_result_that_fills_in() -> None:
    from napari_restore.widgets.jobs.filling import FillingView, StoredMask, final_pixels

    rng = np.random.default_rng(0)
    array = rng.integers(0, 60_000, (2, 5, 12, 17)).astype(np.uint16)  # CZYX
    mask = StoredMask(array.shape, (1, 2, 8, 8))
    mask.units[1, 0, 1, 2] = mask.units[0, 2] = True
    expected = np.full(array.shape, np.nan, np.float32)
    for part in (np.s_[1:2, 0:2, 8:12, 16:17], np.s_[0:1, 4:5]):
        expected[part] = array[part]
    view = FillingView.of(array, mask, "CZYX")
    assert view.dtype == np.float32 and view.shape == array.shape
    np.testing.assert_array_equal(np.asarray(view), expected)
    turned = view.transpose((1, 0, 3, 2)).at(1, 1)
    np.testing.assert_array_equal(turned[0, ::3, -2:], expected.transpose(1, 0, 3, 2)[:, 1][0, ::3, -2:])
    np.testing.assert_array_equal(final_pixels(turned), array.transpose(1, 0, 3, 2)[:, 1])
    kept = view.only(0, 1)
    np.testing.assert_array_equal(kept[:, 1], expected[1:2, 1])
    assert np.shares_memory(final_pixels(kept), array) and final_pixels(kept).shape == kept.shape
    colours = rng.integers(0, 255, (4, 6, 3)).astype(np.uint8)  # YXS
    mask = StoredMask(colours.shape, (4, 4, 3))
    mask.units[0, 0] = True
    shown = np.asarray(FillingView.of(colours, mask, "YXS"))
    assert shown.shape == (4, 6, 4) and shown.dtype == np.uint8
    np.testing.assert_array_equal(shown[..., :3], colours)
    assert (shown[:, :4, 3] == 255).all() and (shown[:, 4:, 3] == 0).all()

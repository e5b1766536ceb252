"""Which part of a source a result covers, and which arrays are assessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_restore.errors import RestoreError
from napari_restore.images.geometry import first_centre
from napari_restore.widgets.jobs.results import layer_geometry
from napari_restore.widgets.jobs.trust.shown_pair import ShownPair, ShownResult, shown_results

SCALE, TRANSLATE = np.array([3.0, 2.0, 0.5, 0.5]), np.array([0.0, 10.0, -4.0, 5.0])


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).poisson(100, shape).astype(np.uint16)


def layer(shape: tuple[int, ...], name: str = "a", **placed: Any) -> Image:
    return Image(pixels(*shape), name=name, **placed)


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("axes", ["CZYX", "ZCYX", "TZYX"])
def test_the_region_is_found_by_position(axes: str, factor: int) -> None:
    source = layer((3, 4, 40, 50), scale=SCALE, translate=TRANSLATE)
    region = [slice(0, 3), slice(1, 3), slice(4, 36), slice(8, 40)]
    if axes == "ZCYX":
        region[:2] = slice(1, 3), slice(0, 4)
    placed = layer_geometry(source, axes, tuple(region), factor)
    shape = [part.stop - part.start for part in region]
    shape[2:] = [factor * n for n in shape[2:]]
    whole = pixels(*shape)
    position = axes.find("C")
    channels = [whole] if position < 0 else [whole.take([i], position) for i in range(shape[position])]
    if axes == "CZYX":
        channels = [channel[0] for channel in channels]
    results = tuple(Image(data, name=f"r {i}", **placed) for i, data in enumerate(channels))
    pair = ShownPair.of(source, axes, ShownResult("r", results))
    assert pair.region == tuple(region)
    np.testing.assert_array_equal(np.asarray(pair.before.data), source.data[tuple(region)])
    np.testing.assert_array_equal(np.asarray(pair.after.data), whole)
    assert pair.after.axes == axes


def test_a_map_has_the_outer_edges_of_the_region_and_a_place_its_position() -> None:
    source = layer((3, 4, 64, 64), scale=SCALE, translate=TRANSLATE)
    placed = layer_geometry(source, "CZYX", (slice(0, 3), slice(1, 3), slice(32, 64), slice(0, 32)), 1)
    results = tuple(layer((2, 32, 32), f"r {i}", **placed) for i in range(3))
    pair = ShownPair.of(source, "CZYX", ShownResult("r", results))
    windows = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(3, 2, 2, 2)  # stored as CZYX
    data, shown = pair.layer_of(windows, 1, step=16)
    np.testing.assert_array_equal(data, windows[1])
    np.testing.assert_allclose(shown["scale"], [2.0, 8.0, 8.0])
    first = np.array([10 + 2, -4 + 0.5 * (32 + first_centre(16.0)), 5 + 0.5 * first_centre(16.0)])
    np.testing.assert_allclose(shown["translate"], first)
    world = pair.position({"T": 0, "C": 2, "Z": 1, "Y": 3, "X": 4})
    np.testing.assert_allclose(world, [6, 10 + 2 * 2, -4 + 0.5 * 35, 5 + 0.5 * 4])


def test_another_tools_result_without_pixel_size_is_paired_by_its_shape() -> None:
    source = layer((3, 40, 50), scale=SCALE[1:], translate=TRANSLATE[1:])
    twice = layer((3, 80, 100))
    assert ShownPair.of(source, "ZYX", ShownResult("b", (twice,))).region == (slice(0, 3), slice(0, 40), slice(0, 50))
    with pytest.raises(RestoreError, match=r"2 x 40 x 50 pixels\) does not lie on pixels of a \(3 x 40 x 50\)"):
        ShownPair.of(source, "ZYX", ShownResult("b", (layer((2, 40, 50), "b"),)))
    with pytest.raises(RestoreError, match="has 2 axes, and a result of a"):
        ShownPair.of(source, "ZYX", ShownResult("b", (layer((40, 50), "b"),)))


def test_channels_of_a_run_are_one_result_and_results_come_first() -> None:
    def made(name: str, **own: Any) -> Image:
        return layer((8, 8), name, metadata={"napari_restore": own})

    layers = [
        made("x ▸ m · 0", title="x ▸ m", run=("/a.zarr",)), made("x ▸ m · 1", title="x ▸ m", run=("/a.zarr",)),
        layer((8, 8), "x"), made("difference", comparison=True), made("opened", recipe={"model": "m"}),
    ]  # fmt: skip
    assert [(each.name, len(each.layers), each.output) for each in shown_results(layers)] == [
        ("x ▸ m", 2, "/a.zarr"), ("opened", 1, ""), ("x", 1, ""),
    ]  # fmt: skip

"""Every kind of array that a layer can hold, restored by the Run button."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray
import zarr
from docks import click, dock_in, until_idle
from napari import Viewer

from napari_restore import api

PIXELS = np.random.default_rng(0).poisson(100, (2, 40, 48))
DTYPES = ["uint8", "uint16", "uint32", "int16", "float16", "float32", "float64"]


def as_zarr(pixels: np.ndarray, folder: Path) -> zarr.Array:
    stored = zarr.create_array(folder / "a.zarr", shape=pixels.shape, chunks=(1, 16, 16), dtype=pixels.dtype)
    stored[...] = pixels
    return stored


KINDS = {
    "numpy": lambda pixels, folder: pixels,
    "dask": lambda pixels, folder: da.from_array(pixels, chunks=(1, 20, 20)),
    "zarr": as_zarr,
    "xarray": lambda pixels, folder: xarray.DataArray(pixels, dims=("z", "y", "x")),
    "multiscale": lambda pixels, folder: [pixels, pixels[:, ::2, ::2]],
    "not contiguous": lambda pixels, folder: np.asfortranarray(pixels)[::1],
    "read-only": lambda pixels, folder: np.frombuffer(pixels.tobytes(), pixels.dtype).reshape(pixels.shape),
}


def run(qtbot: Any, viewer: Viewer, dock: Any, data: Any, name: str, **how: Any) -> Any:
    viewer.layers.clear()
    viewer.add_image(data, name=name, **how)
    click(qtbot, dock.bar.run)
    until_idle(qtbot, dock)
    assert dock.bar.line.text() == "Done.", f"{name}: {dock.bar.line.text()} {dock.bar.details.text()}"
    return viewer.layers[f"{name} ▸ {Path(dock.model.model()).stem}"]


def test_every_kind_of_array(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    pixels = PIXELS.astype(np.uint16)
    model = checkpoints["denoiser"]
    dock = dock_in(viewer, model)
    expected = api.denoise(pixels, axes="ZYX", model=model, tile=96, halo=8)
    for kind, make in KINDS.items():
        # napari writes to what it is given: not to what is compared here.
        layer = run(qtbot, viewer, dock, make(pixels.copy(), tmp_path), kind, multiscale=kind == "multiscale")
        np.testing.assert_array_equal(layer.data, expected, err_msg=kind)


def test_every_data_type(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    model = checkpoints["denoiser"]
    dock = dock_in(viewer, model)
    for dtype in DTYPES:
        pixels = PIXELS.astype(dtype)
        layer = run(qtbot, viewer, dock, pixels.copy(), dtype)
        assert layer.data.dtype == dtype
        np.testing.assert_array_equal(layer.data, api.denoise(pixels, axes="ZYX", model=model, tile=96, halo=8), dtype)


@pytest.mark.parametrize("model", ["denoiser", "colour_denoiser"])
def test_rgb(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path], model: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 48, 3)).astype(np.uint8)
    dock = dock_in(viewer, checkpoints[model])
    layer = run(qtbot, viewer, dock, pixels.copy(), "colour", rgb=True)
    assert layer.rgb
    np.testing.assert_array_equal(
        layer.data, api.denoise(pixels, axes="YXS", model=checkpoints[model], tile=96, halo=8)
    )


def test_missing_pixels(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    pixels = np.random.default_rng(1).normal(1000, 30, (40, 48)).astype(np.float32)
    pixels[3:9, 5:20], pixels[30, 30], pixels[20:24, 40:] = np.nan, np.inf, -np.inf
    dock = dock_in(viewer, checkpoints["denoiser"])
    layer = run(qtbot, viewer, dock, pixels, "holes")
    np.testing.assert_array_equal(np.isfinite(layer.data), np.isfinite(pixels))
    click(qtbot, dock.compare.measure)
    qtbot.waitUntil(lambda: "Whiteness" in dock.compare.figures.text() and not dock.works)
    assert "nan" not in dock.compare.figures.text()
    click(qtbot, dock.compare.difference)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3 and not dock.works)
    low, high = viewer.layers[-1].contrast_limits
    assert low == -high and 0 < high < 200


def test_what_cannot_be_restored_is_told_of(qtbot: Any, viewer: Viewer, checkpoints: dict[str, Path]) -> None:
    viewer.add_image(np.zeros((20, 30), bool), name="mask")
    dock = dock_in(viewer, checkpoints["denoiser"])
    assert dock.input.description.text().startswith("⚠") and "bool" in dock.input.description.text()
    click(qtbot, dock.bar.run)
    assert dock.bar.line.text() == "⚠ Not possible: see ⚠ above." and dock.bar.state == "idle"
    assert dock.output.cost.text() == ""

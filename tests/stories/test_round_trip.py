"""An OME-TIFF goes in, and what comes out lies in the same place under the same names, whoever opens it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_restore import api

SHAPE = {"T": 2, "C": 2, "Z": 2, "Y": 36, "X": 51}
STEP = {"T": 2.5, "Z": 0.5, "Y": 0.109, "X": 0.108}
UNITS = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
CHANNELS = {"nuclei": (0, 0, 1), "actin": (1, 0.4, 0)}
EXTENT = {
    axis: (-STEP.get(axis, 1) / 2, (length - 0.5) * STEP.get(axis, 1)) for axis, length in SHAPE.items()
}  # fmt: skip
"""From the outer edge of the first pixel to that of the last, in world units."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "cells.ome.tif"
    pixels = np.random.default_rng(0).poisson(100, tuple(SHAPE.values())).astype(np.uint16)
    colours = [int.from_bytes(bytes(round(255 * part) for part in (*rgb, 1)), signed=True) for rgb in CHANNELS.values()]
    metadata = {
        "axes": "TCZYX",
        "PhysicalSizeX": STEP["X"], "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": STEP["Y"], "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": STEP["Z"], "PhysicalSizeZUnit": "µm",
        "TimeIncrement": STEP["T"], "TimeIncrementUnit": "s",
        "Channel": {"Name": list(CHANNELS), "Color": colours},
    }  # fmt: skip
    tifffile.imwrite(path, pixels, metadata=metadata, photometric="minisblack")
    return path


@pytest.fixture(scope="module", params=["denoised", "denoised 0.4", "upscaled", "upscaled 0.4"])
def result(
    request: pytest.FixtureRequest, source: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    name, _, version = request.param.partition(" ")
    path = tmp_path_factory.mktemp("result") / f"{name}.zarr"
    settings: dict[str, Any] = {"ome_version": version or "0.5", "workers": 1}
    if name == "denoised":
        return Path(api.denoise(source, path, model=checkpoints["denoiser"], **settings))
    return Path(api.super_resolve(source, path, model=checkpoints["upscaler"], **settings))


def shape_of(path: Path) -> tuple[int, ...]:
    factor = 2 if path.name == "upscaled.zarr" else 1
    return tuple(length * (factor if axis in "YX" else 1) for axis, length in SHAPE.items())


def test_opened_again(result: Path, source: Path) -> None:
    before, after = api.open_image(source), api.open_image(result)
    assert (after.axes, after.shape, after.dtype) == ("TCZYX", shape_of(result), np.uint16)
    assert after.units == before.units == UNITS
    assert [(c.name, c.color) for c in after.channels] == [(c.name, c.color) for c in before.channels]
    for axis, (low, high) in EXTENT.items():
        step, start = after.pixel_size.get(axis, 1), after.origin.get(axis, 0)
        np.testing.assert_allclose((start - step / 2, start + (after.sizes[axis] - 0.5) * step), (low, high), atol=1e-9)


def test_opened_with_ome_zarr_py(result: Path) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    (node,) = Reader(parse_url(str(result)))()
    assert node.data[0].shape == shape_of(result) and node.data[0].dtype == np.uint16
    axes = node.metadata["axes"]
    assert [axis["name"] for axis in axes] == ["t", "c", "z", "y", "x"]
    assert [axis.get("unit") for axis in axes] == ["second", None, "micrometer", "micrometer", "micrometer"]
    assert node.metadata["channel_names"] == list(CHANNELS)
    np.testing.assert_allclose([colour for _, colour in node.metadata["colormap"]], list(CHANNELS.values()))
    scale, shift = (
        np.array(transform[transform["type"]]) for transform in node.metadata["coordinateTransformations"][0]
    )
    extent = np.stack([shift - scale / 2, shift + (np.array(node.data[0].shape) - 0.5) * scale], axis=1)
    np.testing.assert_allclose(extent, list(EXTENT.values()), rtol=0, atol=1e-9)


@pytest.fixture
def viewer() -> Any:
    """The model of a viewer, without a window."""
    pytest.importorskip("napari", reason="napari is in an environment of its own: tox -e napari")
    from napari.components import ViewerModel

    return ViewerModel()


NAPARI = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own, of its models


def edges(layer: Any) -> np.ndarray:
    """Outer edges of a layer along T, Z, Y and X: napari's extent goes from pixel centre to pixel centre."""
    return np.asarray(layer.extent.world.T + np.array([-0.5, 0.5]) * np.asarray(layer.scale)[:, None])


@NAPARI
def test_shown_in_napari_where_the_source_is(result: Path, source: Path, viewer: Any) -> None:
    layers = []
    for path in (source, result):
        image = api.open_image(path)
        place = {"scale": image.pixel_size, "translate": image.origin}
        one_channel = [axis for axis in image.axes if axis != "C"]
        vectors = {
            name: [known.get(axis, default) for axis in one_channel]
            for (name, known), default in zip(place.items(), (1.0, 0.0), strict=True)
        }
        units = [image.units[axis] for axis in one_channel]
        pixels = image.read(tuple(slice(None) for _ in image.shape))
        layers.append(viewer.add_image(pixels, channel_axis=1, units=units, **vectors)[0])
    np.testing.assert_allclose(edges(layers[1]), edges(layers[0]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(edges(layers[0]), [EXTENT[axis] for axis in "TZYX"], rtol=0, atol=1e-6)
    assert layers[0].units == layers[1].units


@NAPARI
def test_opened_in_napari_with_our_reader(result: Path, viewer: Any) -> None:
    """(The reader napari-ome-zarr leaves out the translation of a 0.5 image in its versions 0.9 and 0.10.)"""
    from npe2 import PluginManager

    PluginManager.instance().discover()
    layers = viewer.open(str(result), plugin="napari-restore")
    assert [layer.name.rpartition(" · ")[2] for layer in layers] == list(CHANNELS)
    for layer, colour in zip(layers, CHANNELS.values(), strict=True):
        np.testing.assert_allclose(layer.colormap.map(np.array([1.0]))[0, :3], colour, atol=1e-6)
        assert [str(unit) for unit in layer.units] == [UNITS[axis] for axis in "TZYX"]
        assert layer.axis_labels == tuple("tzyx")
        np.testing.assert_allclose(edges(layer), [EXTENT[axis] for axis in "TZYX"], rtol=0, atol=1e-6)

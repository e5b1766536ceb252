from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from npe2 import PluginManager, PluginManifest

import napari_restore
from napari_restore.errors import OutputError, RestoreError
from napari_restore.widgets.viewer.files.reader import read_ome_zarr
from napari_restore.widgets.viewer.files.writer import write_ome_zarr

MANIFEST = Path(napari_restore.__file__).with_name("napari.yaml")
PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 3, 300, 280)).astype(np.uint16)
PLACE: dict[str, Any] = {
    "scale": (2.0, 0.5, 0.25), "translate": (0.0, 10.0, -3.0), "units": ("um",) * 3, "axis_labels": ("z", "y", "x"),
}  # fmt: skip


def write(path: Path, *layers: Layer) -> list[Layer]:
    """Save layers and open them again."""
    assert write_ome_zarr(str(path), [layer.as_layer_data_tuple() for layer in layers]) == [str(path)]
    return [Layer.create(*one) for one in read_ome_zarr(str(path))]


def extent(layer: Layer) -> np.ndarray:
    return np.asarray(layer.extent.world)[:, -layer.ndim :]


def pixels(layer: Layer) -> np.ndarray:
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts of notifications."""
    shown: list[str] = []
    monkeypatch.setattr("napari.utils.notifications.show_info", shown.append)
    return shown


def test_channels_come_back_as_they_were(tmp_path: Path, notes: list[str]) -> None:
    layers = [
        Image(PIXELS[0], name="DAPI", colormap="blue", contrast_limits=(10, 900), **PLACE),
        Image(PIXELS[1], name="actin", colormap="red", contrast_limits=(5, 50), visible=False, **PLACE),
    ]
    found = write(tmp_path / "cells.zarr", *layers)
    assert [layer.name for layer in found] == ["cells · DAPI", "cells · actin"]
    for layer, before in zip(found, layers, strict=True):
        np.testing.assert_array_equal(pixels(layer), before.data)
        np.testing.assert_allclose(extent(layer), extent(before))
        assert layer.units == before.units and layer.axis_labels == before.axis_labels
        assert tuple(layer.contrast_limits) == tuple(before.contrast_limits) and layer.visible == before.visible
        np.testing.assert_allclose(layer.colormap.map(np.array([1.0])), before.colormap.map(np.array([1.0])), atol=0.01)
        assert layer.multiscale and len(layer.data) == 2
    again = write(tmp_path / "again.zarr", *found)
    assert [layer.name for layer in again] == [layer.name for layer in found]
    assert "CZYX" in notes[0] and "not stored" not in notes[0] and "no names" not in notes[0]


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr", "multiscale", "float", "truth"])
def test_any_array_is_stored(kind: str, tmp_path: Path) -> None:
    expected: Any = PIXELS[0]
    data: Any = expected
    if kind == "dask":
        data = da.from_array(expected, chunks=(1, 100, 280))
    elif kind == "zarr":
        data = zarr.create_array(tmp_path / "source.zarr", data=expected, chunks=(3, 100, 100))
    elif kind == "multiscale":
        data = [expected, expected[:, ::2, ::2]]
    elif kind == "float":
        data = expected = expected.astype(np.float32) / 7
    elif kind == "truth":
        data, expected = expected > 2000, (expected > 2000).astype(np.uint8)
    (found,) = write(tmp_path / "o.zarr", Image(data, multiscale=kind == "multiscale", contrast_limits=(0, 9), **PLACE))
    np.testing.assert_array_equal(pixels(found), expected)
    assert pixels(found).dtype == expected.dtype


def test_colour_time_and_layers_on_other_grids(tmp_path: Path) -> None:
    colour = Image(np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8), name="histology")
    film = Image(PIXELS[:, :, :90], name="film", axis_labels=("t", "z", "y", "x"), scale=(5, 2, 1, 1))
    found = write(tmp_path / "o.zarr", colour, film)
    assert [layer.name for layer in found] == [*(f"histology · {name}" for name in ("red", "green", "blue")), "film"]
    np.testing.assert_array_equal(np.stack([pixels(layer) for layer in found[:3]], -1), colour.data)
    np.testing.assert_array_equal(pixels(found[3]), film.data)
    assert found[3].axis_labels == ("t", "z", "y", "x") and tuple(found[3].scale) == (5, 2, 1, 1)


def test_labels_come_back_as_labels(tmp_path: Path) -> None:
    cells = np.zeros(PIXELS.shape[1:], np.int32)
    cells[:, 20:90, 30:100], cells[1:, 150:] = 3, 70_000
    image, labels = Image(PIXELS[0], name="cells", **PLACE), Labels(cells, name="all cells/1", **PLACE)
    _, found, second = write(tmp_path / "o.zarr", image, labels, Labels(cells > 5, name="all cells/1", **PLACE))
    assert isinstance(found, Labels) and (found.name, second.name) == ("all_cells_1", "all_cells_1_2")
    np.testing.assert_array_equal(pixels(found), cells)
    np.testing.assert_allclose(extent(found), extent(image))
    assert set(np.unique(np.asarray(found.data[1]))) == {0, 3, 70_000}


def test_an_affine_of_scale_and_translation_is_stored_and_a_rotation_refused(tmp_path: Path) -> None:
    moved = Image(PIXELS[0, 0], affine=[[3, 0, 4], [0, 2, 5], [0, 0, 1]], scale=(2, 1), translate=(1, 0))
    (found,) = write(tmp_path / "moved.zarr", moved)
    np.testing.assert_allclose(extent(found), extent(moved))
    for turned in (Image(PIXELS[0, 0], rotate=30, name="turned"), Image(PIXELS[0, 0], shear=[0.5], name="turned")):
        with pytest.raises(OutputError, match="turned is rotated or sheared"):
            write(tmp_path / "turned.zarr", turned)
    assert not (tmp_path / "turned.zarr").exists()


def test_what_is_not_stored_or_assumed_is_said(tmp_path: Path, notes: list[str]) -> None:
    write(tmp_path / "o.zarr", Image(PIXELS[0], name="cells", colormap="viridis", gamma=0.5))
    assert "viridis" in notes[0] and "gamma 0.5" in notes[0] and "stored as ZYX" in notes[0]


def test_nothing_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "o.zarr", Image(PIXELS[0], **PLACE))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="exists already"):
        write(tmp_path / "o.zarr", Image(PIXELS[1], **PLACE))
    assert sorted(tmp_path.rglob("*")) == before


def test_axes_without_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="name them"):
        write(tmp_path / "o.zarr", Image(np.zeros((1, 1, 1, 1, 8, 8), np.uint8)))


def test_save_in_a_viewer_takes_this_writer_for_zarr_alone(tmp_path: Path) -> None:
    manager = PluginManager.instance()
    if "napari-restore" not in manager._manifests:
        manager.register(PluginManifest.from_file(MANIFEST))
    viewer = ViewerModel()
    viewer.add_image(PIXELS[0], **PLACE)
    viewer.add_labels(np.zeros(PIXELS.shape[1:], np.uint8), **PLACE)
    assert viewer.layers.save(str(tmp_path / "o.zarr"), plugin="napari-restore") == [str(tmp_path / "o.zarr")]
    assert len(read_ome_zarr(str(tmp_path / "o.zarr"))) == 2
    types = ["image", "labels"]
    assert manager.get_writer("o.zarr", types)[0].command == "napari-restore.write_ome_zarr"
    for other in ("o.tif", "folder"):
        writer = manager.get_writer(other, types)[0]
        assert writer is None or writer.command != "napari-restore.write_ome_zarr"

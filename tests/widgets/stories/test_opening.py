"""An OME-Zarr that is dropped on the canvas opens with all that it says, whoever wrote it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from docks import dock_in
from napari import Viewer
from napari.utils import notifications
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication, QDialog, QRadioButton

from napari_restore import api
from napari_restore.images.writing import ome_zarr
from napari_restore.samples import sample_path
from napari_restore.widgets.viewer.files.reader import get_reader, read_ome_zarr

PIXELS = np.random.default_rng(0).integers(0, 1000, (2, 5, 64, 80)).astype(np.uint16)
SCALE, ORIGIN = (0.5, 0.2, 0.25), (1.0, 2.0, 3.0)


def foreign(path: Path, version: str, *, labels: bool = True) -> Path:
    """An image with two levels, channels and labels, as other programs write them."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    write_multiscale(group, version, "czyx", [PIXELS, PIXELS[..., ::2, ::2]], omero=True)
    if labels:
        group.create_group("labels", attributes=wrapped({"labels": ["cells", "gone"]}, version))
        write_multiscale(
            group.create_group("labels/cells"), version, "zyx", [(PIXELS[0] > 500).astype(np.uint8)], label=True
        )
    return path


def wrapped(content: dict[str, Any], version: str) -> dict[str, Any]:
    return content if version == "0.4" else {"ome": {"version": version, **content}}


def write_multiscale(
    group: zarr.Group, version: str, axes: str, levels: list[np.ndarray], *, omero: bool = False, label: bool = False
) -> None:
    named = [
        {"name": axis, "type": "channel"} if axis == "c" else {"name": axis, "type": "space", "unit": "micrometer"}
        for axis in axes
    ]
    datasets = []
    for number, pixels in enumerate(levels):
        group.create_array(f"s{number}", data=pixels, chunks=pixels.shape)
        factor = np.array([1, 2**number, 2**number])
        one = [1.0] if "c" in axes else []
        scale = [*one, *(np.array(SCALE) * factor)]
        place = [0.0 for _ in one] + [*(np.array(ORIGIN) + (factor - 1) / 2 * SCALE)]
        steps: list[dict[str, Any]] = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": place},
        ]
        if version == "0.6":
            whole = {"type": "sequence", "input": {"path": f"s{number}"}, "output": {"name": "physical"}}
            steps = [{**whole, "transformations": steps}]
        datasets.append({"path": f"s{number}", "coordinateTransformations": steps})
    image: dict[str, Any] = {"name": "image", "datasets": datasets}
    image |= {"coordinateSystems": [{"name": "physical", "axes": named}]} if version == "0.6" else {"axes": named}
    content: dict[str, Any] = {"multiscales": [image]}
    if omero:
        channels = [{"label": "nuclei", "color": "00FF00", "window": {"start": 10, "end": 900, "min": 0, "max": 65535}}]
        content["omero"] = {"channels": [*channels, {"label": "actin", "color": "FF0000"}]}
    if label:
        content["image-label"] = {"version": version}
    group.attrs.update(wrapped(content, version))


def drop(viewer: Viewer, path: Path) -> list[str]:
    """Drop a path on the canvas, accept napari's question as it is, and return the readers that were asked about."""
    asked: list[str] = []

    def accept() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QDialog):
            buttons = dialog.findChildren(QRadioButton)
            asked.extend(f"{'● ' if button.isChecked() else ''}{button.text()}" for button in buttons)
            dialog.accept()

    timer = QTimer()
    timer.setInterval(100)
    timer.timeout.connect(accept)
    timer.start()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, button, keys)
    viewer.window._qt_viewer.dropEvent(event)
    timer.stop()
    return asked


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
def test_an_ome_zarr_of_others_opens_as_it_is(viewer: Viewer, tmp_path: Path, version: str) -> None:
    told: list[str] = []
    notifications.notification_manager.notification_ready.connect(lambda event: told.append(event.message))
    asked = drop(viewer, foreign(tmp_path / "image.zarr", version))
    assert not asked or asked[0] == "● Image restoration"
    assert [layer.name for layer in viewer.layers] == ["image · nuclei", "image · actin", "cells"]
    nuclei, actin, cells = viewer.layers
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Image", "Labels"]
    for number, layer in enumerate((nuclei, actin)):
        assert layer.multiscale and [level.shape for level in layer.data] == [(5, 64, 80), (5, 32, 40)]
        np.testing.assert_array_equal(np.asarray(layer.data[0]), PIXELS[number])
        np.testing.assert_allclose(layer.colormap.map(np.array([1.0]))[0, :3], [number == 1, number == 0, 0], atol=1e-6)
    assert tuple(nuclei.contrast_limits) == (10, 900)
    np.testing.assert_array_equal(np.asarray(cells.data), PIXELS[0] > 500)
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale, SCALE)
        np.testing.assert_allclose(layer.translate, ORIGIN)
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3 and layer.axis_labels == ("z", "y", "x")
    assert any("the labels gone" in text and "left out" in text for text in told)
    dock = dock_in(viewer)  # Labels are no source
    assert dock.input.layers.count() == 2 and dock.input.letters() == "ZYX"


def test_our_own_ome_zarr_opens_by_a_drop(viewer: Viewer, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    source = api.open_image(sample_path("cells_noisy"))
    api.denoise(sample_path("cells_noisy"), tmp_path / "o.zarr", model=checkpoints["denoiser"])
    asked = drop(viewer, tmp_path / "o.zarr")
    assert not asked or asked[0] == "● Image restoration"
    assert len(viewer.layers) == source.sizes["C"] and len({layer.colormap.name for layer in viewer.layers}) == 3
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale, [source.pixel_size.get(axis, 1.0) for axis in "YX"])
        assert layer.metadata["napari_restore"]["recipe"]["model"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of ome-zarr-py itself
@pytest.mark.filterwarnings("ignore:Dimension z is too small")
def test_written_by_ome_zarr_py(tmp_path: Path) -> None:
    pytest.importorskip("ome_zarr", reason="ome-zarr-py is not a dependency")
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_image, write_labels

    for number, form in {2: FormatV04(), 3: FormatV05()}.items():
        path = tmp_path / f"{number}.zarr"
        group = zarr.open_group(str(path), mode="w", zarr_format=number)
        write_image(PIXELS, group, axes="czyx", fmt=form)
        write_labels((PIXELS[0] > 500).astype(np.uint8), group, name="cells", axes="zyx", fmt=form)
        reader = get_reader(str(path))
        assert reader is not None
        first, second, cells = reader(str(path))
        assert [kind for _, _, kind in (first, second, cells)] == ["image", "image", "labels"]
        np.testing.assert_array_equal(np.asarray(second[0][0]), PIXELS[1])
        assert cells[1]["scale"] == [1.0, 1.0, 1.0] and cells[1]["name"] == "cells"


def test_labels_alone_in_one_file_and_in_a_collection(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "image.zarr", "0.5")
    ((_, _, kind),) = read_ome_zarr(str(folder / "labels/cells"))
    assert kind == "labels"
    with zipfile.ZipFile(tmp_path / "image.ozx", "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    reader = get_reader(str(tmp_path / "image.ozx"))
    assert reader is not None
    assert [kind for _, _, kind in reader(str(tmp_path / "image.ozx"))] == ["image", "image", "labels"]
    zarr.create_group(tmp_path / "many.zarr", attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}})
    for name in ("0", "1"):
        foreign(tmp_path / f"many.zarr/{name}", "0.5", labels=False)
    reader = get_reader(str(tmp_path / "many.zarr"))
    assert reader is not None and len(reader(str(tmp_path / "many.zarr"))) == 4


def test_a_damaged_level_costs_that_level_alone(tmp_path: Path) -> None:
    folder = foreign(tmp_path / "image.zarr", "0.5", labels=False)
    (folder / "s1/zarr.json").write_text("{")
    told: list[str] = []
    notifications.notification_manager.notification_ready.connect(lambda event: told.append(event.message))
    layers = read_ome_zarr(str(folder))
    assert [data.shape for data, _, _ in layers] == [(5, 64, 80)] * 2
    assert any("without its coarser levels from 1 on" in text for text in told)
    assert ome_zarr.read_attributes(folder) is None

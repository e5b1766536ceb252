"""The newest ome-zarr-py, ngff-zarr and ngio open what this package writes, with the same pixels, sizes and extents.

They are installed in an environment of their own: `tox -e ngff`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import CELLS, Version

from napari_restore import api
from napari_restore.images.image import Image

ngff_zarr = pytest.importorskip("ngff_zarr", reason="ngff-zarr is not installed; tox -e ngff has it")
ngio = pytest.importorskip("ngio", reason="ngio is not installed; tox -e ngff has it")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the other packages
SETTINGS: dict[str, Any] = {
    "value_range": [(0, 1500)], "valid_range": "all", "fill_values": "none", "neighbours": "none", "device": "cpu",
}  # fmt: skip
PIXELS = np.random.default_rng(0).integers(1, 1500, (2, *CELLS.shape)).astype(np.uint16)
VERSIONS: tuple[Version, Version] = ("0.4", "0.5")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory, checkpoints: dict[str, Path]) -> dict[Version, Path]:
    """Image with time, channels, depth, sizes and an origin, in three levels, twice as large as its source."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(1, 1500, (2, 2, 2, 180, 140)).astype(np.uint16)
    image = Image(
        pixels, "TCZYX", pixel_size={"T": 5.0, "Z": 2.0, "Y": 0.5, "X": 0.25}, origin={"Y": 10.0, "X": -3.0},
        units={"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"},
    )  # fmt: skip
    for version in VERSIONS:
        api.super_resolve(
            image, folder / f"{version}.zarr", model=checkpoints["upscaler"], ome_version=version,
            chunks=(1, 1, 1, 64, 64), **SETTINGS,
        )  # fmt: skip
    return {version: folder / f"{version}.zarr" for version in VERSIONS}


@pytest.fixture(scope="session")
def plates(
    tmp_path_factory: pytest.TempPathFactory, checkpoints: dict[str, Path]
) -> dict[tuple[Version, Version], Path]:
    """Plates of one field with labels and tables that ngio has written, and the results of either version."""
    folder = tmp_path_factory.mktemp("plates")
    made = {}
    for given in VERSIONS:
        source = folder / f"{given}.zarr"
        field = [ngio.ImageInWellPath(row="A", column="1", path="0")]
        plate = ngio.create_empty_plate(source, "p", images=field, ngff_version=given)
        image = ngio.create_ome_zarr_from_array(
            plate.get_image_store("A", 1, "0"), PIXELS, 0.5, axes_names=["c", "y", "x"], levels=2, ngff_version=given,
            overwrite=True,
        )  # fmt: skip
        label = image.derive_label("cells")
        label.set_array(CELLS)
        label.consolidate()
        image.add_table("image_ROI_table", image.build_image_roi_table())
        for backend in ("anndata", "csv", "json", "parquet"):
            image.add_table(f"cells_{backend}", image.build_masking_roi_table("cells"), backend=backend)
        for version in VERSIONS:
            out = folder / f"{given}-to-{version}"
            api.restore_batch(source, out, model=checkpoints["upscaler"], ome_version=version, **SETTINGS)
            made[given, version] = out / f"{given}.zarr"
    return made


def placed(path: Path, level: int) -> tuple[tuple[int, ...], list[float], list[float]]:
    """Return shape, scale and origin of a level, as this package reads them."""
    image = api.open_image(path, level=level)
    axes = image.canonical
    return image.shape, [image.pixel_size.get(a, 1.0) for a in axes], [image.origin.get(a, 0.0) for a in axes]


@pytest.mark.parametrize("version", VERSIONS)
def test_ome_zarr_py(images: dict[Version, Path], version: Version) -> None:
    node = next(iter(Reader(parse_url(images[version]))()))
    assert len(node.data) >= 2
    for level, (data, transformations) in enumerate(
        zip(node.data, node.metadata["coordinateTransformations"], strict=True)
    ):
        shape, scale, origin = placed(images[version], level)
        assert tuple(data.shape) == shape
        assert transformations[0]["scale"] == scale and transformations[1]["translation"] == origin
        np.testing.assert_array_equal(np.asarray(data[0, 0, 0]), api.open_image(images[version], level=level).read(
            (slice(0, 1),) * 3 + (slice(None),) * 2)[0, 0, 0])  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_ngff_zarr(images: dict[Version, Path], version: Version) -> None:
    found = ngff_zarr.from_ngff_zarr(str(images[version]))
    assert len(found.images) >= 2
    for level, image in enumerate(found.images):
        shape, scale, origin = placed(images[version], level)
        assert tuple(image.data.shape) == shape
        assert [image.scale[axis] for axis in image.dims] == scale
        assert [image.translation[axis] for axis in image.dims] == origin
        assert image.axes_units["y"] == "micrometer" and image.axes_units["t"] == "second"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("given", VERSIONS)
def test_labels_and_tables_of_plates(
    plates: dict[tuple[Version, Version], Path], given: Version, version: Version
) -> None:
    plate = ngio.open_ome_zarr_plate(plates[given, version])
    ((path, field),) = plate.get_images().items()
    image = field.get_image()
    assert image.shape == (2, 150, 220) and (image.pixel_size.y, image.pixel_size.x) == (0.25, 0.25)
    assert field.list_labels() == ["cells"]
    label = field.get_label("cells")
    np.testing.assert_array_equal(label.get_as_numpy(), CELLS)
    assert label.pixel_size.x * label.shape[-1] == image.pixel_size.x * image.shape[-1]  # the same extent
    (whole,) = field.get_roi_table("image_ROI_table").rois()
    assert image.get_roi(whole).shape == image.shape
    for backend in ("anndata", "csv", "json", "parquet"):
        table = field.get_masking_roi_table(f"cells_{backend}")
        assert len(table.rois()) == CELLS.max()
        for number in (1, int(CELLS.max())):
            rows, columns = np.nonzero(number == CELLS)
            found = image.get_roi(table.get_label(number))
            assert found.shape[1:] == (2 * (np.ptp(rows) + 1), 2 * (np.ptp(columns) + 1))  # the cell, in finer pixels
    nodes = list(Reader(parse_url(str(plates[given, version] / path)))())
    shown = [np.asarray(node.data[0]) for node in nodes if node.data]
    assert any(np.array_equal(pixels, CELLS) for pixels in shown)  # the label is shown with its image


def test_saved_layers_open_elsewhere(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 1500, (2, 3, 300, 280)).astype(np.uint16)
    image = Image(
        pixels, "CZYX", pixel_size={"Z": 2.0, "Y": 0.5, "X": 0.25}, origin={"Y": 10.0, "X": -3.0},
        units={"Z": "micrometer", "Y": "micrometer", "X": "micrometer"},
    )  # fmt: skip
    cells = (pixels[0] > 1000).astype(np.int32)
    api.save_ome_zarr(image, tmp_path / "o.zarr", labels={"cells": cells})
    nodes = list(Reader(parse_url(str(tmp_path / "o.zarr")))())
    np.testing.assert_array_equal(np.asarray(nodes[0].data[0]), pixels)
    assert any(node.data and np.array_equal(np.asarray(node.data[0]), cells) for node in nodes[1:])
    label = ngio.open_ome_zarr_container(tmp_path / "o.zarr").get_label("cells")
    np.testing.assert_array_equal(label.get_as_numpy(), cells)
    for level, other in enumerate(ngff_zarr.from_ngff_zarr(str(tmp_path / "o.zarr")).images):
        shape, scale, origin = placed(tmp_path / "o.zarr", level)
        assert tuple(other.data.shape) == shape
        assert [other.scale[axis] for axis in other.dims] == scale
        assert [other.translation[axis] for axis in other.dims] == origin

"""What this package writes passes the validators of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import zarr

from napari_restore import api
from napari_restore.images.image import Channel, Image

yaozarrs = pytest.importorskip("yaozarrs", reason="yaozarrs is not installed: pip install 'yaozarrs[io]'")

PIXELS = np.random.default_rng(0).integers(1, 4000, (2, 2, 2, 64, 80)).astype(np.uint16)
CHANNELS = (Channel("DAPI", "0000FF", (0, 10)), Channel())
FORMS: dict[str, tuple[np.ndarray, str, tuple[Channel, ...]]] = {
    "all axes": (PIXELS, "TCZYX", CHANNELS),
    "plane": (PIXELS[0, 0, 0], "YX", ()),
    "colour": (PIXELS[0, 0, 0][..., None].repeat(3, -1), "YXS", ()),
    "channels last": (np.moveaxis(PIXELS[0, :, 0], 0, -1), "YXC", CHANNELS),
}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("form", FORMS)
def test_images(form: str, version: Literal["0.4", "0.5"], tmp_path: Path) -> None:
    pixels, axes, channels = FORMS[form]
    size, units = {"Y": -0.5, "X": 0.25}, {"Y": "micrometer", "X": "micrometer"}
    image = Image(pixels, axes, pixel_size=size, units=units, channels=channels)
    api.denoise(image, output=tmp_path / "out.zarr", ome_version=version, device="cpu")
    yaozarrs.validate_zarr_store(str(tmp_path / "out.zarr"))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_plates(version: Literal["0.4", "0.5"], tmp_path: Path) -> None:
    plate = zarr.create_group(tmp_path / "p.zarr")
    wells: list[dict[str, Any]] = [{"path": f"A/{n}", "rowIndex": 0, "columnIndex": n - 1} for n in (1, 2)]
    described = {"rows": [{"name": "A"}], "columns": [{"name": "1"}, {"name": "2"}], "wells": wells, "version": "0.5"}
    plate.attrs["ome"] = {"version": "0.5", "plate": described}
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.5]}]}]
    for well in ("A/1", "A/2"):
        plate.create_group(well).attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}]}}
        field = plate.create_group(f"{well}/0")
        field.create_array("0", data=PIXELS[0, 0, 0], dimension_names=("y", "x"))
        field.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    api.restore_batch(tmp_path / "p.zarr", tmp_path / "out", ome_version=version, device="cpu")
    yaozarrs.validate_zarr_store(str(tmp_path / "out/p.zarr"))

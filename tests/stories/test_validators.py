"""What this package writes passes the validators of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from annotated import Version, annotate, write_image
from ome_zarr_models import v04, v05

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
def test_images(form: str, version: Version, tmp_path: Path) -> None:
    pixels, axes, channels = FORMS[form]
    size, units = {"Y": -0.5, "X": 0.25}, {"Y": "micrometer", "X": "micrometer"}
    image = Image(pixels, axes, pixel_size=size, units=units, channels=channels)
    api.denoise(image, output=tmp_path / "out.zarr", ome_version=version, device="cpu")
    yaozarrs.validate_zarr_store(str(tmp_path / "out.zarr"))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("given", ["0.4", "0.5"])
def test_plates(given: Version, version: Version, tmp_path: Path) -> None:
    """With labels and tables, from a plate of either version; the models of ome-zarr-models accept all of it too."""
    plate = zarr.create_group(tmp_path / "p.zarr", zarr_format=2 if given == "0.4" else 3)
    wells: list[dict[str, Any]] = [{"path": f"A/{n}", "rowIndex": 0, "columnIndex": n - 1} for n in (1, 2)]
    described = {"rows": [{"name": "A"}], "columns": [{"name": "1"}, {"name": "2"}], "wells": wells, "version": given}

    def wrapped(**metadata: Any) -> dict[str, Any]:
        return metadata if given == "0.4" else {"ome": {"version": given, **metadata}}

    plate.attrs.update(wrapped(plate=described))
    row = plate.create_group("A")
    for name in ("1", "2"):
        well = row.create_group(name, attributes=wrapped(well={"images": [{"path": "0"}], "version": given}))
        field = well.create_group("0")
        write_image(field, PIXELS[0, :, 0], given)
        annotate(field, given)
    settings: dict[str, Any] = {"valid_range": "all", "fill_values": "none", "neighbours": "none", "device": "cpu"}
    api.restore_batch(tmp_path / "p.zarr", tmp_path / "out", ome_version=version, **settings)
    made = tmp_path / "out/p.zarr"
    yaozarrs.validate_zarr_store(str(made))
    models: Any = v05 if version == "0.5" else v04
    group = zarr.open_group(made, mode="r")
    found = models.HCS.from_zarr(group)
    listed = found.ome_attributes.plate if version == "0.5" else found.attributes.plate
    assert [well.path for well in listed.wells] == ["A/1", "A/2"]
    for name in ("A/1/0", "A/2/0"):
        field = group[name]
        assert models.Image.from_zarr(field).labels is not None
        labels = models.Labels.from_zarr(field["labels"])
        assert (labels.ome_attributes if version == "0.5" else labels.attributes).labels == ["cells", "nuclei"]
        yaozarrs.validate_zarr_store(str(made / name / "labels/cells"))

"""Settings that are written in two ways and mean one thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_restore import api
from napari_restore.errors import SourceError

PIXELS = np.random.default_rng(0).integers(1, 4096, (2, 64, 64)).astype(np.uint16)


def ome_tiff(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "two.ome.tif", ome=True) as writer:
        for number, name in enumerate(("left", "right")):
            writer.write(PIXELS[number], metadata={"axes": "YX", "Name": name}, photometric="minisblack")
    return folder / "two.ome.tif"


def group(folder: Path) -> Path:
    made = zarr.create_group(folder / "two.zarr")
    axes = [{"name": axis, "type": "space"} for axis in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    images = []
    for number, name in enumerate(("left", "right")):
        made.create_array(name, data=PIXELS[number])
        images.append({"name": name, "axes": axes, "datasets": [{"path": name, "coordinateTransformations": scale}]})
    made.attrs["ome"] = {"version": "0.5", "multiscales": images}
    return folder / "two.zarr"


def collection(folder: Path) -> Path:
    root = zarr.create_group(folder / "many.zarr")
    root.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    for number, name in enumerate(("left", "right")):
        one = root.create_group(name)
        one.create_array("0", data=PIXELS[number])
        datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0]}]}]
        axes = [{"name": axis, "type": "space"} for axis in "yx"]
        one.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return folder / "many.zarr"


@pytest.mark.parametrize("make", [ome_tiff, group, collection])
def test_a_series_by_number_and_by_name_is_one_setting(make: object, tmp_path: Path) -> None:
    source = make(tmp_path)  # type: ignore[operator]
    settings = {"device": "cpu", "value_range": (0, 4096)}
    by_name, by_number, by_digit = (api.plan(source, series=s, **settings) for s in ("right", 1, "1"))
    assert by_name.fingerprint == by_number.fingerprint == by_digit.fingerprint
    assert by_name.fingerprint != api.plan(source, **settings).fingerprint
    api.denoise(source, output=tmp_path / "out.zarr", series="right", **settings)
    assert api.plan(source, output=tmp_path / "out.zarr", series=1, **settings).recipe.series == 1
    api.denoise(source, output=tmp_path / "out.zarr", series=1, **settings)  # is done already, and no other run
    with pytest.raises(SourceError, match="middle"):
        api.plan(source, series="middle", **settings)

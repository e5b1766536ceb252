from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_restore import api
from napari_restore.errors import OutputError, SourceError

PIXELS = np.random.default_rng(0).integers(0, 900, (3, 40, 50)).astype(np.uint16)


def test_a_file_of_another_format_becomes_an_ome_zarr(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "cells.ome.tif",
        PIXELS,
        metadata={"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "Channel": {"Name": ["DAPI"]}},
    )
    api.save_ome_zarr(tmp_path / "cells.ome.tif", tmp_path / "cells.zarr")
    found = api.open_image(tmp_path / "cells.zarr")
    np.testing.assert_array_equal(found.read((slice(None),) * 3), PIXELS)
    assert found.pixel_size["X"] == 0.25 and found.units["X"] == "micrometer" and found.channels[0].name == "DAPI"


def test_labels_of_an_array_have_the_place_of_the_image(tmp_path: Path) -> None:
    source = api.open_image(PIXELS, axes="ZYX")
    source.pixel_size.update(Y=0.5, X=0.5)
    api.save_ome_zarr(source, tmp_path / "o.zarr", labels={"cells": (PIXELS > 400).astype(np.uint8)})
    assert api.open_image(tmp_path / "o.zarr/labels/cells").pixel_size["X"] == 0.5


def test_a_result_is_not_saved_over(tmp_path: Path) -> None:
    api.save_ome_zarr([api.open_image(PIXELS[0]), api.open_image(PIXELS[1])], tmp_path / "o.zarr")
    assert api.open_image(tmp_path / "o.zarr", series=1).sizes == {"Y": 40, "X": 50}
    with pytest.raises(OutputError, match="exists already"):
        api.save_ome_zarr(PIXELS[2], tmp_path / "o.zarr")
    with pytest.raises(SourceError, match="convert a mask to uint8"):
        api.save_ome_zarr(PIXELS[2] > 3, tmp_path / "other.zarr")

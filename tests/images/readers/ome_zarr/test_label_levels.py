from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from annotated import CELLS, Version, annotate

from napari_restore.images.readers.ome_zarr.annotations import read_tree
from napari_restore.images.readers.ome_zarr.label_levels import with_levels


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_levels_are_left_out_or_added(tmp_path: Path, version: Version, count: int) -> None:
    group: Any = zarr.create_group(tmp_path / "a.zarr", zarr_format=2 if version == "0.4" else 3)
    annotate(group, version)
    before = read_tree(group["labels/cells"])
    tree = with_levels(before, count)
    ome = tree.groups[""].get("ome", tree.groups[""])
    levels = ome["multiscales"][0]["datasets"]
    assert [level["path"] for level in levels] == [str(n) for n in range(count)] == sorted(tree.arrays)
    for number, level in enumerate(levels):
        step = 2**number
        assert level["coordinateTransformations"][0]["scale"] == [0.5 * step, 0.5 * step]
        expected, array = CELLS[::step, ::step], tree.arrays[level["path"]]
        assert array.shape == expected.shape and array.dtype == np.uint32
        read = tree.reader(level["path"])
        np.testing.assert_array_equal(read(tuple(slice(0, n) for n in expected.shape)), expected)
        np.testing.assert_array_equal(read((slice(3, 8), slice(2, 9))), expected[3:8, 2:9])
    assert len(before.arrays) == 2  # the source's own is not changed

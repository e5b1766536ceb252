import os
import subprocess
import sys

import numpy as np
import pytest

from napari_restore.errors import SourceError
from napari_restore.images.opening import open_image


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4"])
def test_data_types_that_can_be_restored(dtype):
    assert open_image(np.zeros((2, 2), dtype)).dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((2, 2), "?"), "convert a mask"),
        (np.zeros((2, 2), "c8"), "magnitude"),
        (np.zeros((2, 2), "M8[s]"), "data type"),
        (np.zeros((2, 2), object), "data type"),
        (np.zeros((0, 2)), "no pixels"),
        ([1, 2, 3], "does not hold arrays"),
        ([], "does not hold arrays"),
        (3, "neither a path nor an array"),
        (None, "neither a path nor an array"),
    ],
)
def test_what_cannot_be_restored(array, told):
    with pytest.raises(SourceError, match=told):
        open_image(array)


def test_longdouble_is_refused_where_it_is_longer():
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(SourceError, match="data type"):
            open_image(np.zeros((2, 2), np.longdouble))


def test_paths_that_lead_nowhere(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.tif").touch()
    for name, told in (
        ("missing.tif", "does not exist"),
        ("folder", "not a Zarr"),
        ("a.png", "unknown format '.png'"),
        ("empty.tif", "is empty"),
    ):
        with pytest.raises(SourceError, match=told):
            open_image(tmp_path / name)


def test_import_is_quick_and_loads_no_reader():
    script = (
        "import sys; import napari_restore.images.opening; "
        "print(sorted({'tifffile', 'zarr', 'xarray', 'torch', 'napari', 'qtpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"

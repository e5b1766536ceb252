from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_restore import api
from napari_restore.errors import AxesError, ChunkError, SourceError, SourceLost
from napari_restore.images.opening import open_image


@pytest.fixture
def file(tmp_path: Path, stack: np.ndarray) -> Path:
    """A file of two volumes and a table, as PlantSeg and ilastik write them."""
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        raw = file.create_dataset("exp/raw", data=stack, chunks=(1, 40, 50), compression="gzip", fletcher32=True)
        raw.attrs["element_size_um"] = (2.0, 0.25, 0.5)
        raw.dims[0].label, raw.dims[1].label, raw.dims[2].label = "z", "y", "x"
        tagged = file.create_dataset("tagged", data=stack.transpose(2, 1, 0).astype(">f4"))
        tagged.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "xyz"]})
        file["labels"] = np.array([b"a", b"b"])
    return tmp_path / "cells.h5"


def region(*bounds: tuple[int, int]) -> tuple[slice, ...]:
    return tuple(slice(*bound) for bound in bounds)


@pytest.mark.parametrize("form", ["{}::/exp/raw", "{}::exp/raw", "{}/exp/raw"])
def test_a_dataset_is_named_behind_the_file(file: Path, stack: np.ndarray, form: str) -> None:
    image = open_image(form.format(file))
    assert (image.axes, image.shape, image.chunks) == ("ZYX", stack.shape, (1, 40, 50))
    assert image.pixel_size == {"Z": 2.0, "Y": 0.25, "X": 0.5} and set(image.units.values()) == {"micrometer"}
    assert image.location == f"{file}::/exp/raw"
    part = region((1, 3), (30, 61), (49, 103))
    np.testing.assert_array_equal(image.read(part), stack[part])


def test_axistags_and_byte_order(file: Path, stack: np.ndarray) -> None:
    image = open_image(f"{file}::tagged")
    assert image.axes == "XYZ" and image.dtype == np.float32 and image.dtype.isnative
    part = region((0, 2), (5, 9), (7, 70))
    np.testing.assert_array_equal(image.read(part), stack[part])


def test_what_is_missing_is_asked_for(file: Path, tmp_path: Path, stack: np.ndarray) -> None:
    with pytest.raises(SourceError, match=r"several datasets.*::/exp/raw.*/tagged"):
        open_image(file)
    with pytest.raises(SourceError, match=r"no dataset 'raw'.*/exp/raw"):
        open_image(f"{file}::raw")
    with pytest.raises(SourceError, match="level 1"):
        open_image(f"{file}::/exp/raw", level=1)
    with h5py.File(tmp_path / "one.hdf5", "w") as one:
        one["a"] = stack
    with pytest.raises(AxesError, match="axes="):
        open_image(tmp_path / "one.hdf5")
    assert open_image(tmp_path / "one.hdf5", axes="zyx").axes == "ZYX"
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(SourceError, match="but not its content"):
        open_image(tmp_path / "text.h5")
    (tmp_path / "cut.h5").write_bytes(file.read_bytes()[:3000])
    with pytest.raises(SourceError, match=r"cut\.h5"):
        open_image(tmp_path / "cut.h5", axes="ZYX")


def test_it_pickles_by_location_and_is_read_by_threads(file: Path, stack: np.ndarray) -> None:
    image = open_image(f"{file}::/exp/raw")
    stored = pickle.dumps(image)
    assert len(stored) < 2000
    again = pickle.loads(stored)
    whole = region((0, 3), (0, 75), (0, 110))
    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(lambda _: again.read(whole), range(8)):
            np.testing.assert_array_equal(pixels, stack)


def test_a_damaged_chunk_is_named(file: Path) -> None:
    with h5py.File(file) as opened:
        where = opened["exp/raw"].id.get_chunk_info_by_coord((2, 40, 50))
    content = bytearray(file.read_bytes())
    content[where.byte_offset + 20] ^= 1
    file.write_bytes(content)
    image = open_image(f"{file}::/exp/raw")
    assert image.read(region((0, 2), (0, 75), (0, 110))).any()
    with pytest.raises(ChunkError, match=r"/exp/raw: chunk \(2, 1, 1\) cannot be read"):
        image.read(region((0, 3), (0, 75), (0, 110)))
    file.unlink()
    with pytest.raises(SourceLost, match="is not there any more"):
        image.read(region((0, 1), (0, 5), (0, 5)))


def test_it_is_restored_and_verified_from_where_it_is(
    file: Path, tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    settings: dict[str, Any] = {"model": checkpoints["local"], "tile": 64, "halo": 8}
    api.denoise(f"{file}/exp/raw", tmp_path / "o.zarr", **settings)
    expected = api.denoise(stack, axes="ZYX", **settings)
    np.testing.assert_array_equal(api.open_image(tmp_path / "o.zarr").read((slice(None),) * 3), expected)
    assert api.verify(tmp_path / "o.zarr", recompute=1).recomputed == 1


def test_without_h5py_the_package_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(SourceError, match=r"pip install 'napari-restore\[hdf5\]'"):
        open_image(f"{file}::/exp/raw")


def test_n5_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "old.n5").mkdir()
    (tmp_path / "old.n5/attributes.json").write_text('{"n5": "2.5.1"}')
    with pytest.raises(SourceError, match=r"is N5.*OME-Zarr"):
        open_image(tmp_path / "old.n5")


def test_a_link_leads_to_what_it_names(tmp_path: Path, stack: np.ndarray) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as raw:
        raw["entry/data"] = stack
        raw["folder/deep/data"] = stack + 1
    with h5py.File(tmp_path / "master.h5", "w") as master:
        master["entry/data"] = np.zeros_like(stack)  # of the same name as what the link leads to
        master["images/external"] = h5py.ExternalLink("raw.h5", "/entry/data")
        master["images/folder"] = h5py.ExternalLink("raw.h5", "/folder")
        master["images/soft"] = h5py.SoftLink("/entry/data")
        master["images/hard"] = master["entry/data"]
        master["images/gone"] = h5py.ExternalLink("nowhere.h5", "/entry/data")
    expected = {"external": stack, "folder/deep/data": stack + 1, "soft": 0 * stack, "hard": 0 * stack}
    for name, pixels in expected.items():
        image = open_image(f"{tmp_path / 'master.h5'}::/images/{name}", axes="ZYX")
        assert image.location == f"{tmp_path / 'master.h5'}::/images/{name}"
        for one in (image, pickle.loads(pickle.dumps(image))):
            np.testing.assert_array_equal(one.read((slice(None),) * 3), pixels)
    with pytest.raises(SourceError, match=r"gone is a link to .*nowhere.h5, which is not there"):
        open_image(f"{tmp_path / 'master.h5'}::/images/gone", axes="ZYX")


def test_the_only_dataset_may_lie_behind_a_link(tmp_path: Path, stack: np.ndarray) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as raw:
        raw["entry/data"] = stack
    for name in ("/entry/data", "/entry"):
        with h5py.File(tmp_path / "master.h5", "w") as master:
            master["link"] = h5py.ExternalLink("raw.h5", name)
        np.testing.assert_array_equal(open_image(tmp_path / "master.h5", axes="ZYX").read((slice(None),) * 3), stack)


def test_external_links_lead_on_to_other_files(tmp_path: Path, stack: np.ndarray) -> None:
    (tmp_path / "day").mkdir()
    with h5py.File(tmp_path / "day/raw.h5", "w") as raw:
        raw["entry/data"] = stack
        raw["back"] = h5py.ExternalLink("../master.h5", "/")  # the way back makes no circle
    with h5py.File(tmp_path / "day/index.h5", "w") as index:
        index["scans/first"] = h5py.ExternalLink("raw.h5", "/entry")  # relative to the folder of this file
        index["entry/data"] = 0 * stack[0, 0]
        index["alias"] = h5py.SoftLink("/scans/first/data")
    for name, inside in (("/scans", "link/first/data"), ("/alias", "link"), ("/scans/first/data", "link")):
        with h5py.File(tmp_path / "master.h5", "w") as master:
            master["link"] = h5py.ExternalLink("day/index.h5", name)
        named = open_image(f"{tmp_path / 'master.h5'}::/{inside}", axes="ZYX")
        np.testing.assert_array_equal(named.read((slice(None),) * 3), stack)
        alone = open_image(tmp_path / "master.h5", axes="ZYX")  # the only data set there is
        assert alone.location == f"{tmp_path / 'master.h5'}::/{inside}"
    with h5py.File(tmp_path / "master.h5", "w") as master:
        master["one"] = h5py.ExternalLink("day/raw.h5", "/entry")
        master["two"] = h5py.ExternalLink("day/raw.h5", "/entry/data")
    assert open_image(tmp_path / "master.h5", axes="ZYX").location.endswith("::/one/data")
    with h5py.File(tmp_path / "day/a.h5", "w") as first, h5py.File(tmp_path / "day/b.h5", "w") as second:
        first["x"], second["x"] = h5py.ExternalLink("b.h5", "/x"), h5py.ExternalLink("a.h5", "/x")
    with pytest.raises(SourceError, match="go round in a circle"):
        open_image(f"{tmp_path / 'day/a.h5'}::/x")


def test_external_links_stay_in_the_folder_of_the_file(tmp_path: Path, stack: np.ndarray) -> None:
    (tmp_path / "mine").mkdir()
    with h5py.File(tmp_path / "raw.h5", "w") as raw:
        raw["data"] = stack
    with h5py.File(tmp_path / "mine/between.h5", "w") as between:
        between["data"] = h5py.ExternalLink("../raw.h5", "/data")
    with h5py.File(tmp_path / "mine/master.h5", "w") as master:
        master["data"] = h5py.ExternalLink("between.h5", "/data")
    for name in ("master", "between"):
        for inside in ("", "::/data"):
            source = f"{tmp_path / 'mine' / name}.h5{inside}"
            with pytest.raises(SourceError, match=r"raw.h5, which is outside its folder .* allow_outside=True"):
                open_image(source, axes="ZYX")
            allowed = open_image(source, axes="ZYX", allow_outside=True)
            np.testing.assert_array_equal(allowed.read((slice(None),) * 3), stack)


def test_damaged_labels_of_dimensions_are_an_error_and_do_not_end_the_process(tmp_path: Path) -> None:
    """The library frees their memory twice; so this is done in a process of its own."""
    import subprocess
    import sys

    with h5py.File(tmp_path / "a.h5", "w") as file:
        found = file.create_dataset("raw", data=np.zeros((2, 8, 8), np.uint16))
        for axis, label in enumerate(("depth", "height", "width")):
            found.dims[axis].label = label
    content = (tmp_path / "a.h5").read_bytes()
    heap = content.index(b"GCOL")
    (tmp_path / "a.h5").write_bytes(content[: heap + 8] + b"\1\2\3\0" + content[heap + 12 :])
    script = "import sys; from napari_restore.images.opening import open_image; open_image(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.h5"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "SourceError" in done.stderr.splitlines()[-1], (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("empty", h5py.Empty("f4"), "is an empty data set, without pixels"),
        ("compound", np.zeros((8, 8), [("r", "u1"), ("g", "u1")]), "integers of 8 to 64 bits and floats"),
        ("none", np.zeros((0, 8), np.uint16), "holds no pixels"),
    ],
)
def test_data_sets_that_are_no_image(tmp_path: Path, name: str, value: Any, told: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = value
    with pytest.raises(SourceError, match=told):
        open_image(f"{tmp_path / 'a.h5'}::/{name}")

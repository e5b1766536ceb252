"""A Zarr in one file: opened as the same Zarr in a folder is, by api, command line and in batches."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import zarr

from napari_restore import api
from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.opening import open_image

PIXELS = np.random.default_rng(0).integers(1, 2**12, (2, 64, 64)).astype("u2")


def image_at(group, name=None, zarr_format=3):
    target = group.create_group(name) if name else group
    names = {"dimension_names": ("z", "y", "x")} if zarr_format == 3 else {}
    target.create_array("0", data=PIXELS, chunks=(1, 64, 64), **names)
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [2, 0.5, 0.5]}]}]
    multiscale = {"name": "cells", "version": "0.4", "axes": axes, "datasets": datasets}
    found = {"multiscales": [multiscale]}
    target.attrs.update(found if zarr_format == 2 else {"ome": {"version": "0.5", **found}})


def pack(folder, path, *, top="", compression=zipfile.ZIP_STORED):
    """Pack a folder: its contents, or itself below a name."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, os.path.join(top, file.relative_to(folder)))
    return path


@pytest.fixture
def zipped(tmp_path):
    image_at(zarr.create_group(tmp_path / "cells.zarr"))
    return pack(tmp_path / "cells.zarr", tmp_path / "cells.ozx")


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def total(image):
    return int(whole(image).sum())


@pytest.mark.parametrize("top", ["", "cells.zarr", "a/b/cells.zarr"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("name", "zarr_format"), [("x.ozx", 3), ("x.zarr.zip", 3), ("x.ome.zarr.zip", 2), ("X.OZX", 3)]
)
def test_it_is_what_the_folder_is(tmp_path, name, zarr_format, compression, top):
    image_at(zarr.create_group(tmp_path / "cells.zarr", zarr_format=zarr_format), None, zarr_format)
    image = open_image(pack(tmp_path / "cells.zarr", tmp_path / name, top=top, compression=compression))
    folder = open_image(tmp_path / "cells.zarr")
    for field in ("axes", "name", "pixel_size", "origin", "units", "chunks"):
        assert getattr(image, field) == getattr(folder, field), field
    for one in (image, pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(whole(one), PIXELS)


def test_a_spawned_process_reads(zipped):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(total, [open_image(zipped)]) == [PIXELS.sum()]


def test_restored_resumed_and_verified_as_the_folder(zipped, tmp_path):
    settings = {"tile": 64, "halo": 8, "value_range": (0, 4096)}
    out = api.denoise(zipped, output=tmp_path / "out.zarr", **settings)
    options = ["--tile", "64", "--halo", "8", "--range", "0", "4096"]
    command_line = [sys.executable, "-m", "napari_restore"]
    again = [*command_line, "denoise", str(zipped), str(tmp_path / "out.zarr"), *options]
    assert subprocess.run(again, check=False, capture_output=True).returncode == 0
    assert not api.verify(out, recompute=1).bad
    from_folder = api.denoise(tmp_path / "cells.zarr", output=tmp_path / "other.zarr", **settings)
    np.testing.assert_array_equal(whole(open_image(out)), whole(open_image(from_folder)))
    told = subprocess.run([*command_line, "info", str(zipped)], check=True, capture_output=True, text=True).stdout
    assert "0.5 micrometer" in told


def test_a_plate_in_a_file_is_a_plate(tmp_path):
    plate = zarr.create_group(tmp_path / "p.zarr")
    plate.attrs["ome"] = {
        "version": "0.5",
        "plate": {
            "rows": [{"name": "A"}], "columns": [{"name": "1"}, {"name": "2"}], "version": "0.5",
            "wells": [{"path": f"A/{n}", "rowIndex": 0, "columnIndex": n - 1} for n in (1, 2)],
        },
    }  # fmt: skip
    for well in ("A/1", "A/2"):
        plate.create_group(well).attrs["ome"] = {
            "version": "0.5",
            "well": {"images": [{"path": "0"}], "version": "0.5"},
        }
        image_at(plate, f"{well}/0")
    path = pack(tmp_path / "p.zarr", tmp_path / "data.ozx")
    with pytest.raises(SourceError, match="plate"):
        open_image(path)
    for place in (f"{path}/A/2/0", f"{path}::A/2/0", f"{path}::/A/2/0"):
        assert open_image(place).pixel_size["Y"] == 0.5
    ended = api.restore_batch(path, tmp_path / "out", tile=64, halo=8)
    assert [(item.name, item.state) for item in ended] == [("data.zarr/A/1/0", "done"), ("data.zarr/A/2/0", "done")]
    assert zarr.open_group(tmp_path / "out/data.zarr", mode="r").attrs["ome"]["plate"]["rows"] == [{"name": "A"}]
    assert api.plan_batch(tmp_path, tmp_path / "out2").items[0].name.startswith("data.zarr/A/1")


def test_what_is_no_such_file(zipped, tmp_path):
    with pytest.raises(SourceError, match="no nothing in it"):
        open_image(f"{zipped}/nothing")
    (tmp_path / "text.ozx").write_text("no archive")
    with pytest.raises(SourceError, match=r"text\.ozx"):
        open_image(tmp_path / "text.ozx")
    with zipfile.ZipFile(tmp_path / "other.zarr.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with pytest.raises(SourceError, match="holds no Zarr"):
        open_image(tmp_path / "other.zarr.zip")
    content = zipped.read_bytes()
    (tmp_path / "cut.ozx").write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match=r"cut\.ozx cannot be read as a Zarr in a file"):
        open_image(tmp_path / "cut.ozx")


def test_a_damaged_member_is_named(zipped):
    with zipfile.ZipFile(zipped) as archive:
        member = archive.getinfo("0/c/1/0/0")
    content = bytearray(zipped.read_bytes())
    content[member.header_offset + 200] ^= 0x10
    zipped.write_bytes(content)
    with pytest.raises(ChunkError, match=r"chunk \(1, 0, 0\)"):
        whole(open_image(zipped))


def test_a_bomb_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.ozx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", "{}")
        with archive.open("c/0", "w") as member:
            for _ in range(300):
                member.write(bytes(2**20))
    with pytest.raises(SourceError, match=r"c/0 would become 314572800 bytes"):
        open_image(tmp_path / "bomb.ozx")

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_restore import api
from napari_restore.engine.verify import Unit
from napari_restore.errors import OutputError
from napari_restore.images import ome_zarr


@pytest.fixture
def result(tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]) -> Path:
    """A stored result of 12 blocks and two levels, with its source on disk."""
    tifffile.imwrite(tmp_path / "in.ome.tif", np.tile(stack, (1, 4, 3)), metadata={"axes": "ZYX"})
    settings = {"model": checkpoints["local"], "chunks": (1, 64, 64), "shards": (1, 192, 192), "tile": 128, "halo": 16}
    return api.denoise(tmp_path / "in.ome.tif", tmp_path / "out.zarr", **settings)  # type: ignore[no-any-return]


def objects(path: Path) -> list[Path]:
    return sorted(file for level in ("0", "1") for file in (path / level / "c").rglob("*") if file.is_file())


def contents(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in objects(path)}


def test_a_sound_result_is_found_sound(result: Path) -> None:
    found = api.verify(result, recompute=3)
    assert found.ok and found.units == len(objects(result)) == 15 and found.recomputed == 3
    assert str(found).endswith("15 stored objects read back, 3 computed anew, 0 bad")


def test_every_flipped_bit_is_found_and_healed(result: Path) -> None:
    whole = contents(result)
    rng = np.random.default_rng(0)
    files = list(whole)
    for _ in range(25):
        file = files[int(rng.integers(len(files)))]
        damaged = bytearray(whole[file])
        damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        found = api.verify(result)
        level, index = file.relative_to(result).parts[0], tuple(map(int, file.relative_to(result).parts[2:]))
        assert found.damaged == (Unit(int(level), index),)
        file.write_bytes(whole[file])
    for file in files[::4]:
        file.write_bytes(whole[file][:-5])
    files[1].unlink()
    found = api.verify(result)
    assert len(found.damaged) == len(files[::4]) and len(found.missing) == 1
    assert api.verify(result, repair=True).ok
    assert contents(result) == whole


def test_other_pixels_behind_right_checksums_are_found_by_computing(result: Path) -> None:
    whole = contents(result)
    array = ome_zarr.open_level(result, 0, "r+")
    ome_zarr.write_unit(array, (1, 0, 1), np.asarray(array[1:2, 0:192, 192:330]) + np.uint16(2))
    assert api.verify(result).ok
    found = api.verify(result, recompute=12)
    assert found.differing == (Unit(0, (1, 0, 1)),) and not found.ok
    assert api.verify(result, recompute=12, repair=True).ok
    assert contents(result) == whole


def test_changed_attributes_are_noticed(result: Path) -> None:
    group = zarr.open_group(result, mode="r+")
    attributes = group.attrs["napari_restore"]
    attributes["identity"]["recipe"]["tile"] = 256  # type: ignore[index,call-overload]
    group.update_attributes({"napari_restore": attributes})
    found = api.verify(result)
    assert not found.ok and not found.bad and "metadata changed: zarr.json" in str(found)
    assert api.verify(result, repair=True).ok
    (result / "0/.metadata.json").unlink()  # as in results of earlier versions
    assert api.verify(result).ok
    group.update_attributes({"napari_restore": attributes})
    found = api.verify(result)
    assert not found.ok and not found.bad and "fingerprint" in str(found)


def test_metadata_that_cannot_be_read_are_mended(result: Path) -> None:
    whole = {file: json.loads(file.read_bytes()) for file in result.rglob("zarr.json")}
    for name in ("zarr.json", "0/zarr.json", "1/zarr.json"):
        content = (result / name).read_bytes()
        (result / name).write_bytes(content[:40] + b"?" + content[41:])
    found = api.verify(result)
    assert found.metadata == ("zarr.json", "0/zarr.json", "1/zarr.json") and found.units == 0 and not found.ok
    assert api.verify(result, repair=True).ok
    assert {file: json.loads(file.read_bytes()) for file in result.rglob("zarr.json")} == whole
    copy = result / "0/.metadata.json"
    copy.write_bytes(copy.read_bytes()[:-30])
    assert api.verify(result).metadata == ("0/.metadata.json",)
    assert api.verify(result, repair=True).ok


def test_attributes_that_others_have_added_stay(result: Path) -> None:
    zarr.open_group(result, mode="r+").update_attributes({"mine": 1})
    assert api.verify(result).ok
    file = result / "zarr.json"
    file.write_text(file.read_text().replace("multiscales", "multiscalez"))
    assert not api.verify(result).ok
    assert api.verify(result, repair=True).ok
    assert zarr.open_group(result).attrs["mine"] == 1


def test_a_source_that_has_moved(result: Path, tmp_path: Path) -> None:
    moved = (tmp_path / "in.ome.tif").rename(tmp_path / "moved.ome.tif")
    objects(result)[0].unlink()
    with pytest.raises(OutputError, match="--source"):
        api.verify(result, repair=True)
    assert api.verify(result, repair=True, source=moved).ok


def test_only_results_of_this_package(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no result of this package"):
        api.verify(tmp_path)

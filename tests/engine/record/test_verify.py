from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from noisy_planes import noisy_blobs
from safetensors.torch import load_file, save_file

from napari_restore import api
from napari_restore.engine.compute import predictor
from napari_restore.engine.planning.planner import make_plan
from napari_restore.engine.record import verify
from napari_restore.engine.store.lock import OutputLock, lock_of
from napari_restore.errors import OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.digests import SUMS, record_digest
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.metadata_copy import COPIES
from napari_restore.images.writing.unit_writer import UnitWriter


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, checkpoints: dict[str, Path]) -> tuple[Path, Path]:
    """A folder with a result and its source, and a copy of it."""
    folder = tmp_path_factory.mktemp("made_once") / "own"
    folder.mkdir()
    tifffile.imwrite(folder / "in.ome.tif", np.tile(noisy_blobs(), (1, 4, 3)), metadata={"axes": "ZYX"})
    settings = {"model": checkpoints["local"], "chunks": (1, 64, 64), "shards": (1, 192, 192), "tile": 128, "halo": 16}
    api.denoise(folder / "in.ome.tif", folder / "out.zarr", **settings)  # type: ignore[arg-type]
    shutil.copytree(folder, folder.with_name("copy"))
    return folder, folder.with_name("copy")


@pytest.fixture
def result(made_once: tuple[Path, Path]) -> Path:
    """A stored result of 12 blocks and two levels, with its source on disk beside it, as no test has changed them."""
    folder, copy = made_once
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    return folder / "out.zarr"


def objects(path: Path) -> list[Path]:
    return sorted(file for level in ("0", "1") for file in (path / level / "c").rglob("*") if file.is_file())


def contents(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in objects(path)}


def test_a_sound_result_is_found_sound(result: Path) -> None:
    found = api.verify(result, recompute=3)
    assert found.ok and found.units == len(objects(result)) == 15 and found.recomputed == 3
    assert str(found).endswith("15 stored objects read back, 3 computed again, 0 bad")


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
        assert found.damaged == (WriteUnit(int(level), index),)
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
    stage = Stage(result.with_name("own"))
    stage.folder.mkdir()  # as a run with a fault in its arithmetic
    writer = UnitWriter(result, stage)
    writer.write(WriteUnit(0, (1, 0, 1)), np.asarray(writer.level(0)[1:2, 0:192, 192:330]) + np.uint16(2))
    assert api.verify(result).ok
    found = api.verify(result, recompute=12)
    assert found.differing == (WriteUnit(0, (1, 0, 1)),) and not found.ok
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
    for copy in COPIES:
        (result / copy).unlink()  # as in results of earlier versions
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


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_every_bit_of_the_smallest_object_and_of_the_metadata_counts(result: Path) -> None:
    """Also those that change no pixel: in the frames of Zstd, in the index of a shard, in an escape."""
    whole = {file: file.read_bytes() for file in result.rglob("*") if file.is_file()}
    smallest = min(objects(result), key=lambda file: file.stat().st_size)
    hidden = [result / name for name in (*COPIES, SUMS, "zarr.json", "0/zarr.json")]
    rng = np.random.default_rng(1)
    for file in (smallest, *hidden):
        for bit in rng.choice(8 * len(whole[file]), 40, replace=False).tolist():
            flip(file, bit)
            assert not api.verify(result).ok, (file, bit)
            file.write_bytes(whole[file])
    for file in hidden:
        flip(file, int(rng.integers(8 * len(whole[file]))))
        api.verify(result, repair=True)
        assert api.verify(result).ok
        assert {path: path.read_bytes() for path in whole} == whole, file


def test_what_changes_no_pixel_is_found_and_healed(result: Path) -> None:
    whole, before = contents(result), np.asarray(ome_zarr.open_level(result, 0)[...])
    for file in objects(result)[:3]:
        flip(file, 36)  # the unused bit in the header of a frame of Zstd, which decoders have to ignore
    assert np.array_equal(np.asarray(ome_zarr.open_level(result, 0)[...]), before)
    assert len(api.verify(result).damaged) == 3
    assert api.verify(result, repair=True).ok and contents(result) == whole


def test_a_list_of_digests_that_was_left_behind_is_made_anew(result: Path) -> None:
    whole = (result / SUMS).read_bytes()
    (result / SUMS).unlink()
    found = api.verify(result)
    assert found.metadata == (SUMS,) and not found.bad
    assert api.verify(result, repair=True).ok and (result / SUMS).read_bytes() == whole


def test_a_result_of_an_earlier_version_is_decoded(result: Path) -> None:
    group = zarr.open_group(result, mode="r+")
    attributes = dict(group.attrs["napari_restore"])  # type: ignore[arg-type]
    attributes.pop("digests")
    group.update_attributes({"napari_restore": attributes})
    for name in (*COPIES, SUMS):
        (result / name).unlink()
    assert api.verify(result).ok
    flip(objects(result)[0], 4000)
    assert len(api.verify(result).damaged) == 1


@pytest.mark.parametrize("copies", [1, 2])
def test_a_damaged_copy_does_not_vouch_for_damaged_metadata(result: Path, copies: int) -> None:
    whole = {file: file.read_bytes() for file in result.rglob("*") if file.is_file()}
    for name in COPIES[:copies]:
        (result / name).write_bytes(whole[result / name].replace(b'"sha256"', b'"sha257"', 1))
    (result / "zarr.json").write_bytes(whole[result / "zarr.json"].replace(b'"space"', b'"spaca"'))
    assert not api.verify(result).ok
    if copies == 1:  # the other one tells what is right
        assert api.verify(result, repair=True).ok
        assert {path: path.read_bytes() for path in whole} == whole
        return
    with pytest.raises(OutputError, match="none confirms another; copy them"):
        api.verify(result, repair=True)
    (result / "zarr.json").write_bytes(whole[result / "zarr.json"])  # advice followed
    assert api.verify(result, repair=True).ok
    assert {path: path.read_bytes() for path in whole} == whole


@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json", "1/zarr.json"])
def test_two_damaged_copies_are_put_together(result: Path, name: str) -> None:
    """One damaged place in each of three files: where the copies differ, their digests say which one is right."""
    whole = {file: file.read_bytes() for file in result.rglob("*") if file.is_file()}
    for copy, part in zip(COPIES, (b'"raw_sha256"', b'"files"'), strict=True):
        (result / copy).write_bytes(whole[result / copy].replace(part, part[:-1] + b"}", 1))  # no JSON any more
    (result / name).write_bytes(whole[result / name].replace(b": ", b"& ", 1))
    found = api.verify(result)
    assert not found.ok and name in found.metadata
    assert api.verify(result, repair=True).ok
    assert {path: path.read_bytes() for path in whole} == whole


def test_a_run_that_was_cancelled_before_its_first_block(result: Path, checkpoints: dict[str, Path]) -> None:
    output = result.with_name("cancelled.zarr")
    events = api.iter_restore(result.with_name("in.ome.tif"), output=output, model=checkpoints["local"], tile=128)
    assert next(events).done == 0
    events.close()
    found = api.verify(output)
    assert found.metadata == () and found.missing and not found.damaged


def test_what_a_killed_repair_has_left_is_removed(result: Path) -> None:
    whole = {file: file.read_bytes() for file in result.rglob("*") if file.is_file()}
    held = OutputLock(result)  # as if it was killed before it gave the lock back
    mark = held.stage.folder / "owner.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"started": "never"}))
    record_digest(Stage(held.stage.folder), result, objects(result)[0].relative_to(result).as_posix(), b"never stored")
    assert api.verify(result).ok and lock_of(result).exists()
    assert api.verify(result, repair=True).ok and not lock_of(result).exists()
    assert {file: file.read_bytes() for file in result.rglob("*") if file.is_file()} == whole


@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json"])
def test_with_all_metadata_damaged_there_is_no_traceback(result: Path, checkpoints: dict[str, Path], name: str) -> None:
    for file in (name, *COPIES):
        (result / file).write_bytes((result / file).read_bytes().replace(b'":', b'"2', 1))
    settings = {"model": checkpoints["local"], "tile": 128, "halo": 16}
    if name == "0/zarr.json":
        assert not api.verify(result).ok
    for call in (
        lambda: api.verify(result, repair=True),
        lambda: api.denoise(result.with_name("in.ome.tif"), result, **settings),
    ):
        with pytest.raises(OutputError, match=r"cannot be read|are damaged"):
            call()


def test_a_result_of_a_newer_version_is_told(result: Path, checkpoints: dict[str, Path]) -> None:
    for name in COPIES:
        (result / name).unlink()
    file = result / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["napari_restore"]["recipe"]["of_the_future"] = 1
    content["attributes"]["napari_restore"]["version"] = "99.0"
    file.write_text(json.dumps(content))
    for call in (
        lambda: api.denoise(result.with_name("in.ome.tif"), result, model=checkpoints["local"]),
        lambda: api.verify(result, recompute=1),
    ):
        with pytest.raises(OutputError, match=r"written by napari-restore 99.0, .* does not accept of_the_future"):
            call()


@pytest.mark.parametrize("name", ["identity", "recipe", "source", "source_crops", "given", "model", "fingerprint"])
def test_attributes_of_another_form_are_told(result: Path, checkpoints: dict[str, Path], name: str) -> None:
    for copy in COPIES:
        (result / copy).unlink()
    content = json.loads((result / "zarr.json").read_text())
    content["attributes"]["napari_restore"][name] = [1]
    (result / "zarr.json").write_text(json.dumps(content))
    (result / "0/c/0/0/0").unlink()
    for call in (
        lambda: api.verify(result),
        lambda: api.verify(result, repair=True),
        lambda: api.denoise(result.with_name("in.ome.tif"), result, model=checkpoints["local"]),
    ):
        with pytest.raises(OutputError, match=rf"are damaged \({name} is '\[1\]'\)"):
            call()
    api.denoise(result.with_name("in.ome.tif"), result, model=checkpoints["local"], overwrite=True)  # it is replaced
    assert api.verify(result).ok


def test_attributes_that_others_have_added_stay(result: Path) -> None:
    zarr.open_group(result, mode="r+").update_attributes({"mine": 1})
    assert api.verify(result).ok
    file = result / "zarr.json"
    file.write_text(file.read_text().replace("multiscales", "multiscalez"))
    assert not api.verify(result).ok
    assert api.verify(result, repair=True).ok
    assert zarr.open_group(result).attrs["mine"] == 1


def test_a_source_that_has_moved(result: Path, tmp_path: Path) -> None:
    moved = result.with_name("in.ome.tif").rename(tmp_path / "moved.ome.tif")
    objects(result)[0].unlink()
    with pytest.raises(OutputError, match="--source"):
        api.verify(result, repair=True)
    assert api.verify(result, repair=True, source=moved).ok


def test_another_source_is_named_and_nothing_is_changed(
    result: Path, tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    other = tmp_path / "other.ome.tif"
    tifffile.imwrite(other, np.tile(stack, (1, 4, 3))[:, ::-1], metadata={"axes": "ZYX"})
    objects(result)[0].unlink()
    before = contents(result)
    for repair in (False, True):
        with pytest.raises(
            OutputError, match=r"other.ome.tif is not the source of .*other pixels in 8 of 8 compared regions"
        ):
            api.verify(result, recompute=2, repair=repair, source=other)
    assert contents(result) == before
    # A region in napari is a part of the file that it names.
    image = api.open_image(result.with_name("in.ome.tif"))
    pixels = image.read((slice(1, 3), slice(10, 90), slice(20, 200)))
    part = replace(image, data=pixels, chunks=())
    api.denoise(part, tmp_path / "part.zarr", model=checkpoints["local"], tile=64, halo=8)
    with pytest.raises(OutputError, match=r"in.ome.tif is not the source .*\[2, 80, 180\] then, \[3, 300, 330\] now"):
        api.verify(tmp_path / "part.zarr", recompute=1)
    assert api.verify(tmp_path / "part.zarr", recompute=2, source=part).ok


def test_other_weights_are_not_computed_with(result: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    model = tmp_path / "model.safetensors"
    shutil.copy(checkpoints["local"], model)
    api.denoise(result.with_name("in.ome.tif"), tmp_path / "o.zarr", model=model, tile=128, halo=16)
    state = load_file(model)
    save_file({key: value * 1.5 for key, value in state.items()}, model)
    with pytest.raises(OutputError, match=r"other weights: .* undo these changes"):
        api.verify(tmp_path / "o.zarr", recompute=1)


def test_what_shapes_do_not_tell_of_a_checkpoint_is_taken_from_the_recipe(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    tifffile.imwrite(tmp_path / "in.ome.tif", stack, metadata={"axes": "ZYX"})
    settings = {"model": checkpoints["local"], "img_range": 255.0, "mean": (0.3,), "tile": 64, "halo": 8}
    output = api.denoise(tmp_path / "in.ome.tif", tmp_path / "out.zarr", **settings)
    whole = contents(output)
    assert api.verify(output, recompute=3).ok
    (output / "0/c/1/0/0").unlink()
    assert api.verify(output, recompute=3, repair=True).ok and contents(output) == whole


def test_a_pattern_of_question_marks_is_a_source(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    for z, plane in enumerate(stack):
        tifffile.imwrite(tmp_path / f"in_z{z}.tif", plane)
    output = api.denoise(tmp_path / "in_z?.tif", tmp_path / "out.zarr", model=checkpoints["local"], tile=64, halo=8)
    assert api.verify(output, recompute=2).ok


def test_what_another_batch_moves_in_bfloat16_is_no_difference(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "in.tif", stack[0])
    settings = {"precision": "bfloat16", "tile": 64, "halo": 8, "value_range": (0, 1000), "dtype": "float32"}
    output = api.denoise(tmp_path / "in.tif", tmp_path / "out.zarr", **settings)
    stage = Stage(tmp_path / "own")
    stage.folder.mkdir()
    writer = UnitWriter(output, stage)
    made = np.asarray(writer.level(0)[...])
    for moved, bad in ((0.8, False), (20.0, True)):
        writer.write(WriteUnit(0, (0, 0)), made + np.float32(moved))
        assert bool(api.verify(output, recompute=1).differing) == bad


def test_a_run_that_was_compiled_is_computed_anew_so(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(card: Any, device: Any, precision: Any, backend: str, *more: Any) -> Any:
        asked.append(backend)
        return predictor_for(card, device, precision, "eager", *more)

    predictor_for = predictor.predictor_for
    monkeypatch.setattr(predictor, "predictor_for", load)
    monkeypatch.setattr(verify, "make_plan", lambda *given: make_plan(*given).with_settings(backend="compiled"))
    assert api.verify(result, recompute=1).ok and asked == ["compiled"]


def test_only_results_of_this_package(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a result of this package"):
        api.verify(tmp_path)

"""Many images by one recipe: each ends where it is looked for, none stops another, and what is done stays done."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import ome_zarr.io
import ome_zarr.reader
import pytest
import tifffile
import zarr
from ome_zarr_models import v04, v05

from napari_restore import api, cli
from napari_restore.engine.store.lock import OutputLock, lock_of
from napari_restore.engine.store.replaced import set_aside
from napari_restore.errors import ModelError, OutputError, RecipeError, SourceError
from napari_restore.images.staging import Stage
from napari_restore.images.writing import ome_zarr as our_zarr
from napari_restore.images.writing.digests import record_digest

SETTINGS: dict[str, Any] = {"tile": 64, "halo": 8}


@pytest.fixture
def folder(tmp_path: Path, stack: np.ndarray) -> Path:
    """Two images called x, one of them ten times as bright, and one that is broken."""
    for name, pixels in (("a/x.tif", stack[0]), ("b/x.tif", stack[1] * 10)):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        tifffile.imwrite(tmp_path / "data" / name, pixels)
    (tmp_path / "data/b/broken.tif").write_bytes((tmp_path / "data/a/x.tif").read_bytes()[:5000])
    return tmp_path / "data"


def pixels(path: Path) -> np.ndarray:
    return np.asarray(our_zarr.open_level(path, 0)[...])


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "batch.report.json").read_text())  # type: ignore[no-any-return]


def test_one_that_fails_does_not_stop_the_others_and_the_same_call_goes_on(
    folder: Path, tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    out, model = tmp_path / "out", checkpoints["local"]
    plan = api.plan_batch(folder, out, model=model, **SETTINGS)
    assert [(item.name, item.state) for item in plan.items] == [
        ("a/x.zarr", "new"), ("b/broken.zarr", "impossible"), ("b/x.zarr", "new"),
    ]  # fmt: skip
    for words in ("3: 2 new, 0 begun, 0 done and skipped, 1 impossible", "33.0 kB", "one range for each image"):
        assert words in str(plan), words
    assert not out.exists()
    ended = api.restore_batch(folder, out, model=model, **SETTINGS)
    assert [item.state for item in ended] == ["done", "failed", "done"] and "broken.tif" in ended[1].message
    for name in ("a", "b"):
        alone = api.denoise(tifffile.imread(folder / name / "x.tif"), model=model, **SETTINGS)
        np.testing.assert_array_equal(pixels(out / name / "x.zarr"), alone)
    kept = report(out)["images"]
    assert kept["b/broken.zarr"]["state"] == "failed" and kept["a/x.zarr"]["tiles_per_second"] > 0
    assert kept["a/x.zarr"]["value_range"] != kept["b/x.zarr"]["value_range"]
    page = str(api.run_report(out))
    assert "2 done, 1 failed" in page and "broken.tif" in page

    (folder / "b/broken.tif").write_bytes((folder / "a/x.tif").read_bytes())
    stored = out / "b/x.zarr/0/c/0/0"
    before, one_more = (out / "a/x.zarr/0/c/0/0").stat().st_mtime_ns, stored.read_bytes()
    stored.unlink()
    plan = api.plan_batch([folder], out, model=model, **SETTINGS)
    assert [item.state for item in plan.items] == ["done", "new", "begun"]
    ended = api.restore_batch([folder], out, model=model, **SETTINGS)
    assert [item.state for item in ended] == ["done"] * 3
    assert (out / "a/x.zarr/0/c/0/0").stat().st_mtime_ns == before and stored.read_bytes() == one_more
    assert "3 done" in str(api.run_report(out)) and "Failed" not in str(api.run_report(out))


def test_a_file_that_was_exported_again_is_not_taken_for_done(
    folder: Path, tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    out, model = tmp_path / "out", checkpoints["local"]
    (folder / "b/broken.tif").unlink()
    api.restore_batch(folder, out, model=model, **SETTINGS)
    tifffile.imwrite(folder / "a/x.tif", stack[2])
    again, same = api.plan_batch(folder, out, model=model, **SETTINGS).items
    assert (again.state, same.state) == ("impossible", "done")
    assert "result of another source" in again.message and "x.tif: other pixels" in again.message


def test_stopped_it_goes_on(folder: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    out, model = tmp_path / "out", checkpoints["local"]
    events = api.run_batch(api.plan_batch(folder, out, model=model, **SETTINGS))
    next(event for event in events if event.event is None)
    events.close()
    assert set(report(out)["images"]) == {"a/x.zarr"}
    plan = api.plan_batch(folder, out, model=model, **SETTINGS)
    assert [item.state for item in plan.items] == ["done", "impossible", "new"]


def test_one_range_for_all_stays_that_of_the_first_go(
    folder: Path, tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    out, model = tmp_path / "out", checkpoints["local"]
    api.restore_batch(folder, out, model=model, shared_range=True, **SETTINGS)
    kept = report(out)
    ((low, high),) = kept["shared_range"]
    alone = [api.plan(folder / name / "x.tif", model=model).recipe.value_range for name in ("a", "b")]
    assert low == min(pair[0][0] for pair in alone if pair) and high == max(pair[0][1] for pair in alone if pair)
    for name in ("a", "b"):
        assert kept["images"][f"{name}/x.zarr"]["value_range"] == [[low, high]]
    tifffile.imwrite(folder / "b/later.tif", stack[2] // 4)
    api.restore_batch(folder, out, model=model, shared_range=True, **SETTINGS)
    assert report(out)["images"]["b/later.zarr"]["value_range"] == [[low, high]]
    with pytest.raises(RecipeError, match="leave out shared_range="):
        api.plan_batch(folder, out, model=model, shared_range=True, value_range=(0, 1))
    tifffile.imwrite(folder / "b/two.ome.tif", stack[:2], metadata={"axes": "CYX"})
    with pytest.raises(RecipeError, match="same channels"):
        api.restore_batch(folder, tmp_path / "other", model=model, shared_range=True, **SETTINGS)


def test_what_is_wrong_with_all_is_said_at_once(folder: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="does not exist"):
        api.plan_batch(folder, out, model="missing.pth")
    with pytest.raises(RecipeError, match="96 or 104"):
        api.plan_batch(folder / "a", out, tile=100)
    with pytest.raises(SourceError, match="broken"):
        api.plan_batch(folder / "b/broken.tif", out)
    api.restore_batch(folder / "a", out, model=checkpoints["local"], **SETTINGS)
    with pytest.raises(OutputError, match="another recipe"):
        api.plan_batch(folder / "a", out, model=checkpoints["local"], tile=96)
    assert (
        api.plan_batch(folder / "a", out, model=checkpoints["local"], tile=96, overwrite=True).items[0].state == "new"
    )


def test_other_images_in_a_file_are_not_passed_over_in_silence(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    with tifffile.TiffWriter(tmp_path / "two.ome.tif") as file:
        file.write(stack[0], metadata={"axes": "YX"})
        file.write(stack, metadata={"axes": "ZYX"})
    plan = api.plan_batch(tmp_path / "two.ome.tif", tmp_path / "out", model=checkpoints["local"])
    assert "image 0 of 2 in the file" in str(plan)


def test_from_the_command_line(
    folder: Path, tmp_path: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["napari-restore", *map(str, arguments)])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    command = ("batch", f"{folder}/a", f"{folder}/b/*.tif", tmp_path / "out", "--model", checkpoints["local"])
    command += ("--tile", 64, "--halo", 8)
    code, out, _ = run(*command, "--dry-run")
    assert code == 0 and "2 new" in out and "impossible" in out and not (tmp_path / "out").exists()
    code, _, err = run("batch", f"{folder}/a", "s3://bucket/out", "--model", checkpoints["local"], "--dry-run")
    assert code == 2 and "not to s3://bucket/out; restore there image by image" in err
    code, out, err = run(*command)
    assert code == 1 and "2 images done, 1 failed" in out and "broken.tif" in err
    (folder / "b/broken.tif").unlink()
    assert run(*command, "-q") == (0, "", "")
    code, out, _ = run("report", tmp_path / "out")
    assert code == 0 and "| a/x.zarr | done |" in out
    code, out, _ = run("report", tmp_path / "out/a/x.zarr", "--json")
    assert code == 0 and json.loads(out)["sessions"][0]["how"] == "finished"


def write_plate(path: Path, stack: np.ndarray, version: str) -> None:
    """Write a plate of three wells, of two, one and no fields, with the library of the format's authors."""
    from ome_zarr.format import FormatV04, FormatV05

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own on import
        from ome_zarr.writer import write_image, write_plate_metadata, write_well_metadata

    fmt = FormatV05() if version == "0.5" else FormatV04()
    plate = zarr.open_group(path, mode="w", zarr_format=fmt.zarr_format)
    wells = ["A/1", "B/3", "B/1"]
    acquisitions = [{"id": 1, "name": "Friday"}]
    size: dict[str, Any] = {"scale": {"c": 1.0, "y": 0.5, "x": 0.5}}
    if "scale" not in inspect.signature(write_image).parameters:  # older versions
        size = {"coordinate_transformations": [[{"type": "scale", "scale": [1.0, 0.5, 0.5]}]]}
    write_plate_metadata(plate, ["A", "B"], ["1", "2", "3"], wells, fmt=fmt, name="screen", acquisitions=acquisitions)
    for well, fields in (("A/1", ["0", "1"]), ("B/3", ["0"])):
        group = plate.require_group(well)
        write_well_metadata(group, [{"path": name, "acquisition": 1} for name in fields], fmt=fmt)
        for name in fields:
            image = group.require_group(name)
            pixels = stack[:2] + (200 if name == "1" else 0)
            write_image(pixels, image, axes="cyx", fmt=fmt, scale_factors=[], **size)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_plate_in_a_plate_out(tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path], version: str) -> None:
    source, out = tmp_path / "screen.zarr", tmp_path / "out"
    write_plate(source, stack, version)
    with pytest.raises(SourceError, match=r"restore all of a plate with api\.restore_batch"):
        api.plan(source)
    model = checkpoints["upscaler"]
    ended = api.restore_batch(source, out, model=model, ome_version=version, **SETTINGS)
    assert [(item.name, item.state) for item in ended] == [
        (f"screen.zarr/{name}", "done") for name in ("A/1/0", "A/1/1", "B/3/0")
    ]
    plate = out / "screen.zarr"
    group = zarr.open_group(plate, mode="r")
    checked = (v05 if version == "0.5" else v04).HCS.from_zarr(group)
    found = checked.ome_attributes.plate if version == "0.5" else checked.attributes.plate
    assert (found.name, [well.path for well in found.wells]) == ("screen", ["A/1", "B/3", "B/1"])
    assert [acquisition.name for acquisition in found.acquisitions] == ["Friday"]
    assert not list(plate.rglob("*report*")) and (tmp_path / "out/screen.zarr.reports/A/1/0.json").is_file()

    nodes = list(ome_zarr.reader.Reader(ome_zarr.io.parse_url(plate))())
    assert nodes and nodes[0].data[0].shape[0] == 2  # the whole plate, stitched by the other library
    field = next(iter(ome_zarr.reader.Reader(ome_zarr.io.parse_url(plate / "A/1/1"))()))
    expected = api.super_resolve(stack[:2] + 200, axes="CYX", model=model, **SETTINGS)
    np.testing.assert_array_equal(np.asarray(field.data[0]), expected)
    assert api.open_image(plate / "A/1/1").pixel_size["X"] == 0.25
    assert api.verify(plate / "B/3/0").ok

    plan = api.plan_batch(source, out, model=model, ome_version=version, **SETTINGS)
    assert [item.state for item in plan.items] == ["done"] * 3
    assert not api.restore_batch(source, out, model=model, ome_version=version, **SETTINGS)[0].message
    other = "0.4" if version == "0.5" else "0.5"
    with pytest.raises(OutputError, match="not made from these images"):
        api.restore_batch(source, out, model=model, ome_version=other, overwrite=True, **SETTINGS)


def test_a_plate_with_a_field_that_fails_is_valid(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    source, out = tmp_path / "screen.zarr", tmp_path / "out"
    write_plate(source, stack, "0.5")
    shards = sorted((source / "A/1/0").rglob("c/*/*/*"))
    shards[-1].write_bytes(shards[-1].read_bytes()[:50])
    model = checkpoints["local"]
    ended = api.restore_batch(source, out, model=model, value_range=(0, 2000), **SETTINGS)
    assert [item.state for item in ended] == ["failed", "done", "done"] and "A/1/0" in ended[0].message
    assert v05.HCS.from_zarr(zarr.open_group(out / "screen.zarr", mode="r")).n_wells == 3
    assert "1 failed" in str(api.run_report(out))


def test_a_plate_is_not_made_in_its_own_place(tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]) -> None:
    write_plate(tmp_path / "screen.zarr", stack, "0.5")
    before = sorted(tmp_path.rglob("*"))
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="inside one another"):
            api.restore_batch(tmp_path / "screen.zarr", tmp_path, model=checkpoints["local"], overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_collection_keeps_its_series(tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]) -> None:
    root = zarr.create_group(
        tmp_path / "slides.zarr", attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}}
    )
    for name in ("0", "1", "10"):
        our_zarr.create(tmp_path / "slides.zarr" / name, shape=(75, 110), dtype="u2", axes="YX", chunks=(75, 110))
        our_zarr.open_level(tmp_path / "slides.zarr" / name, 0, "r+")[...] = stack[0]
    assert root.read_only is False
    ended = api.restore_batch(tmp_path / "slides.zarr", tmp_path / "out", model=checkpoints["local"], **SETTINGS)
    assert [item.name for item in ended] == [f"slides.zarr/{name}" for name in ("0", "1", "10")]
    assert all(item.state == "done" for item in ended)
    made = v05.BioFormats2Raw.from_zarr(zarr.open_group(tmp_path / "out/slides.zarr", mode="r"))
    assert made.ome_attributes.bioformats2raw_layout == 3
    assert api.open_image(tmp_path / "out/slides.zarr", series=1).location.endswith("slides.zarr/1")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("folder", "a/x.zarr", "b/x.zarr"), ("plate", "screen.zarr/A/1/0", "screen.zarr/B/3/0")],
)
def test_what_a_killed_batch_left_at_the_end_of_an_image_is_tidied(
    folder: Path, stack: np.ndarray, checkpoints: dict[str, Path], kind: str, first: str, second: str
) -> None:
    if kind == "plate":
        write_plate(folder.parent / "screen.zarr", stack, "0.5")
    source = folder if kind == "folder" else folder.parent / "screen.zarr"
    out, model = folder.parent / "out", checkpoints["local"]
    api.restore_batch(source, out, model=model, **SETTINGS)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and "report" not in str(path)}
    image = out / first
    held = OutputLock(image)  # as if it was killed before it gave the lock back
    mark = held.stage.folder / "owner.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"started": "never"}))
    stray = Stage(held.stage.folder)
    stored = next(path for path in image.glob("0/c/**/*") if path.is_file())
    record_digest(stray, image, stored.relative_to(image).as_posix(), b"never stored")
    set_aside(image, stray, held.owner)
    replaced = image.with_name(f".{image.name}.replaced")
    shutil.copytree(next(replaced.iterdir()) / image.name, image)
    lock_of(out / second).mkdir()
    ended = api.restore_batch(source, out, model=model, **SETTINGS)
    assert {item.state for item in ended if "broken" not in item.name} == {"done"}
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and "report" not in str(path)}
    assert after == before and not list(out.rglob(".*.lock")) and not list(out.rglob(".*.replaced"))


def test_a_batch_that_ends_before_it_gives_a_lock_back(folder: Path, checkpoints: dict[str, Path]) -> None:
    out, model = folder.parent / "out", checkpoints["local"]
    ends = f"""
import os
from napari_restore import api
from napari_restore.engine.store.lock import OutputLock
OutputLock.release = lambda self: os._exit(9)
api.restore_batch({str(folder)!r}, {str(out)!r}, model={str(model)!r}, tile=64, halo=8)
"""
    assert subprocess.run([sys.executable, "-c", ends]).returncode == 9
    assert list(out.rglob(".*.lock")) == [lock_of(out / "a/x.zarr")]
    api.restore_batch(folder, out, model=model, **SETTINGS)
    assert not list(out.rglob(".*.lock"))
    assert api.verify(out / "a/x.zarr").ok and api.verify(out / "b/x.zarr").ok

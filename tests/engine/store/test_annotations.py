"""Labels and tables of a source go along: same values, either version, resumed, verified, repaired."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from annotated import CELLS, ROIS, Version, annotate, write_image

from napari_restore import api
from napari_restore.engine.planning.recipe import make_recipe
from napari_restore.engine.store.annotations import copy_annotations
from napari_restore.engine.store.resume import check_output
from napari_restore.errors import OutputError, SourceError
from napari_restore.wording import human_bytes

SETTINGS: dict[str, Any] = {
    "tile": 64, "halo": 8, "value_range": [(0, 1500)], "valid_range": "all", "fill_values": "none",
    "neighbours": "none",
}  # fmt: skip
PAIRS: list[tuple[Version, Version]] = [("0.4", "0.5"), ("0.5", "0.5"), ("0.5", "0.4"), ("0.4", "0.4")]


def source_at(path: Path, stack: np.ndarray, version: Version) -> Path:
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    write_image(group, stack[:2], version)
    annotate(group, version)
    return path


def ome(group: zarr.Group) -> dict[str, Any]:
    attributes = group.attrs.asdict()
    return attributes.get("ome", attributes)


def check(result: Path, version: Version) -> None:
    """Check all labels and tables of a result against what `annotate` wrote."""
    group: Any = zarr.open_group(result, mode="r", use_consolidated=False)
    labels, tables = group["labels"], group["tables"]
    assert ome(labels)["labels"] == ["cells", "nuclei"] and list(tables.attrs["tables"]) == ["FOV_ROI_table", "counts"]
    assert ("ome" in labels.attrs) == (version == "0.5")
    for name in ("cells", "nuclei"):
        np.testing.assert_array_equal(labels[f"{name}/0"][...], CELLS)
        assert labels[f"{name}/0"].dtype == np.uint32
        if version == "0.5":
            assert labels[f"{name}/0"].metadata.dimension_names == ("y", "x")
        found = ome(labels[name])
        assert found["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [0.5, 0.5]
        assert found["image-label"]["colors"][0]["label-value"] == 1
        assert len(found["multiscales"][0]["datasets"]) == 1  # as many as the image
        assert found["multiscales"][0].get("version") == ("0.4" if version == "0.4" else None)
    table = tables["FOV_ROI_table"]
    np.testing.assert_array_equal(table["X"][...], ROIS)
    assert table["obs/_index"][...].tolist() == ["FOV_1", "cell_Ω"] and table["var/_index"][0] == "x_micrometer"
    assert table.attrs["type"] == "roi_table" and table["uns"].attrs["encoding-type"] == "dict"
    assert table["X"].attrs["encoding-type"] == "array"
    assert (result / "tables/counts/table.csv").read_text() == "label,area\n1,12.5\n"


def stored(image: Path, kind: str) -> int:
    """Bytes of the labels or tables of an image, without the metadata of their group."""
    return sum(file.stat().st_size for file in (image / kind).rglob("*/*") if file.is_file())


def test_they_take_space(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_at(tmp_path / "in.zarr", stack, "0.5")
    plan = api.plan(source, model=checkpoints["denoiser"], **SETTINGS)
    copied = sum(stored(source, kind) for kind in ("labels", "tables"))
    assert plan.image.copied_bytes == copied > 0
    free = shutil.disk_usage(tmp_path)
    needed = plan.output_bytes // 2 + copied  # pixels may compress; labels and tables are stored as they are
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free._replace(free=needed - 1))
    with pytest.raises(OutputError, match=r"before compression, its labels and tables .* kB, and .* free"):
        check_output(plan, tmp_path / "out.zarr")
    with pytest.raises(OutputError, match=r"before compression, its labels and tables .* kB, and .* free"):
        api.plan_batch(source, tmp_path / "out", model=checkpoints["denoiser"], **SETTINGS)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free._replace(free=needed))
    check_output(plan, tmp_path / "out.zarr")
    batch = api.plan_batch(source, tmp_path / "out", model=checkpoints["denoiser"], **SETTINGS)
    assert f"uncompressed, and {human_bytes(copied)} of labels and tables, to " in str(batch)


@pytest.mark.parametrize(("given", "version"), PAIRS)
def test_they_are_copied_to_either_version(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path], given: Version, version: Version
) -> None:
    source, out = source_at(tmp_path / "in.zarr", stack, given), tmp_path / "out.zarr"
    plan = api.plan(source, model=checkpoints["upscaler"], ome_version=version, **SETTINGS)
    labels, tables = (human_bytes(stored(source, kind)) for kind in ("labels", "tables"))
    told = f"labels     cells, nuclei ({labels}), copied as they are: their pixels keep their size and are 2 times as"
    assert told in str(plan)
    told = f"tables     FOV_ROI_table, counts ({tables}), copied as they are: sizes and positions in micrometers fit"
    assert told in str(plan)
    events = list(api.run(plan, out))
    assert [event.stage for event in events][-1] == "copying" and events[-1].done == events[-1].total
    check(out, version)
    assert api.open_image(out).pixel_size["X"] == 0.25  # of the image; the labels keep 0.5
    assert "labels cells, nuclei: copied as they are" in str(api.run_report(out))
    found = api.verify(out, recompute=1)
    assert found.ok, found


def test_damage_is_found_and_repaired_and_what_others_add_is_kept(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    source, out = source_at(tmp_path / "in.zarr", stack, "0.4"), tmp_path / "out.zarr"
    api.denoise(source, out, model=checkpoints["local"], **SETTINGS)
    labels: Any = zarr.open_group(out / "labels")
    labels.create_group("mine").create_array("0", data=CELLS)
    labels.attrs["ome"] = {**labels.attrs["ome"], "labels": ["cells", "nuclei", "mine"]}
    assert api.verify(out).ok
    chunk, csv = out / "labels/cells/0/c/1/0", out / "tables/counts/table.csv"
    raw = bytearray(chunk.read_bytes())
    raw[len(raw) // 2] ^= 1
    chunk.write_bytes(raw)
    csv.unlink()
    found = api.verify(out)
    assert set(found.annotations) == {"labels/cells/0/c/1/0", "tables/counts/table.csv"} and not found.ok
    assert "missing or damaged: labels/cells/0/c/1/0" in str(found) and "2 bad" in str(found)
    assert api.verify(out, repair=True).ok
    assert ome(zarr.open_group(out / "labels", mode="r"))["labels"] == ["cells", "nuclei", "mine"]
    np.testing.assert_array_equal(zarr.open_array(out / "labels/cells/0", mode="r")[...], CELLS)
    assert csv.read_text() == "label,area\n1,12.5\n"


def test_an_interrupted_copy_is_resumed_with_what_is_missing(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    source, out = source_at(tmp_path / "in.zarr", stack, "0.4"), tmp_path / "out.zarr"
    plan = api.plan(source, model=checkpoints["local"], **SETTINGS)
    events = api.run(plan, out)
    copying = (event for event in events if event.stage == "copying")
    list(islice(copying, 4))
    events.close()
    first = out / "labels/cells/0/c/0/0"
    assert first.is_file() and not (out / "labels/nuclei/0/c/0/0").exists()
    assert "labels" not in ome(zarr.open_group(out / "labels", mode="r"))  # no reader sees half of them
    assert not api.verify(out).ok
    before = first.stat().st_mtime_ns
    api.denoise(source, out, model=checkpoints["local"], **SETTINGS)
    check(out, "0.5")
    assert first.stat().st_mtime_ns == before and api.verify(out).ok


def test_what_cannot_be_read_stops_the_run_or_is_left_out(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    source, out = source_at(tmp_path / "in.zarr", stack, "0.5"), tmp_path / "out.zarr"
    chunk = source / "labels/nuclei/0/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:9])
    with pytest.raises(
        SourceError, match=r"pixels of .* are complete, but labels/nuclei .* or leave it out by on_error"
    ):
        api.denoise(source, out, model=checkpoints["local"], **SETTINGS)
    api.denoise(source, out, model=checkpoints["local"], on_error="fill", **SETTINGS)
    group: Any = zarr.open_group(out, mode="r")
    assert ome(group["labels"])["labels"] == ["cells"] and "nuclei" not in group["labels"]
    assert "labels/nuclei is left out" in caplog.text and "labels/nuclei is left out" in str(api.run_report(out))
    assert api.verify(out).annotations == ()


def test_labels_outside_the_folder_of_the_source_are_copied_where_that_is_allowed(
    tmp_path: Path, stack: np.ndarray
) -> None:
    source, out = source_at(tmp_path / "in.zarr", stack, "0.5"), tmp_path / "out.zarr"
    (source / "labels/cells").rename(tmp_path / "elsewhere")
    (source / "labels/cells").symlink_to(tmp_path / "elsewhere")
    annotations = api.open_image(source, allow_outside=True).annotations
    assert annotations is not None
    zarr.create_group(out)
    with pytest.raises(SourceError, match="outside its folder"):
        list(copy_annotations(annotations, out, make_recipe(model="any"), None, []))
    list(copy_annotations(annotations, out, make_recipe(model="any", allow_outside=True), None, [], levels=1))
    check(out, "0.5")


@pytest.mark.parametrize("kind", ["structured", "old version", "no scale"])
def test_what_the_version_cannot_have_is_left_out_and_said(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path], kind: str
) -> None:
    source, out = source_at(tmp_path / "in.zarr", stack, "0.4"), tmp_path / "out.zarr"
    group: Any = zarr.open_group(source)
    if kind == "structured":
        values = np.zeros(3, [("a", "<i4"), ("b", "S3")])
        group["tables/FOV_ROI_table"].create_array("old", shape=3, dtype=values.dtype)[...] = values
        left_out = "tables/FOV_ROI_table is left out: Zarr 3 has no data type"
    else:
        described = group["labels/cells"].attrs["multiscales"]
        if kind == "old version":
            described[0]["version"] = "0.2"
            left_out = "labels/cells is left out: it is OME-Zarr 0.2"
        else:
            del described[0]["datasets"][0]["coordinateTransformations"]
            left_out = "labels/cells is left out: its metadata do not fit OME-Zarr 0.5"
        group["labels/cells"].attrs["multiscales"] = described
    api.denoise(source, out, model=checkpoints["local"], **SETTINGS)
    assert left_out in str(api.run_report(out))
    assert len(ome(zarr.open_group(out / left_out.partition("/")[0], mode="r"))[left_out.partition("/")[0]]) == 1
    # To the version that it has, everything is copied.
    api.denoise(source, tmp_path / "same.zarr", model=checkpoints["local"], ome_version="0.4", **SETTINGS)
    assert "left out" not in str(api.run_report(tmp_path / "same.zarr"))


def test_zipped_sources_and_lists_that_are_not_there(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    source = source_at(tmp_path / "in.zarr", stack, "0.5")
    shutil.make_archive(str(tmp_path / "in"), "zip", source)
    zipped = (tmp_path / "in.zip").rename(tmp_path / "in.ozx")
    api.denoise(zipped, tmp_path / "a.zarr", model=checkpoints["local"], **SETTINGS)
    check(tmp_path / "a.zarr", "0.5")
    labels = zarr.open_group(source / "labels")
    labels.attrs.put({})
    api.denoise(source, tmp_path / "b.zarr", model=checkpoints["local"], **SETTINGS)
    assert zarr.open_group(tmp_path / "b.zarr/labels", mode="r").attrs["labels"] == ["cells", "nuclei"]

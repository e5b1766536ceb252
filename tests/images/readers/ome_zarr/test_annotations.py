from __future__ import annotations

from pathlib import Path

import zarr
from annotated import annotate

from napari_restore.images.readers.ome_zarr.annotations import find_annotations, names_in, read_tree


def test_names_come_from_the_list_or_from_the_groups(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    assert find_annotations(group, "a.zarr") is None
    annotate(group, "0.5")
    found = find_annotations(group, "a.zarr")
    assert found is not None and found.labels == ("cells", "nuclei") and found.tables == ("FOV_ROI_table", "counts")
    labels = zarr.open_group(tmp_path / "a.zarr/labels")
    labels.attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
    assert names_in(group, "labels") == ("nuclei",)
    labels.attrs.put({})
    assert names_in(group, "labels") == ("cells", "nuclei")
    (tmp_path / "a.zarr/labels/zarr.json").write_text("{")  # damaged: the image opens without it
    assert names_in(group, "labels") == ()


def test_a_tree_has_groups_arrays_and_files(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    annotate(group, "0.4")
    (tmp_path / "a.zarr/tables/counts/data.parquet").mkdir()
    (tmp_path / "a.zarr/tables/counts/data.parquet/part 0").write_bytes(b"PAR1")
    tables = zarr.open_group(tmp_path / "a.zarr/tables", mode="r")
    counts, table = read_tree(tables["counts"]), read_tree(tables["FOV_ROI_table"])  # type: ignore[arg-type]
    assert counts.files == ["data.parquet/part 0", "table.csv"] and counts.file("data.parquet/part 0") == b"PAR1"
    assert set(table.arrays) == {"X", "obs/_index", "var/_index"} and set(table.groups) == {"", "obs", "uns", "var"}
    assert table.objects == 3 and counts.objects == 2

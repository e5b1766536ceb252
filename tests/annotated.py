"""OME-Zarr images with label images and tables, as fractal and ngio lay them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

Version = Literal["0.4", "0.5"]
CELLS = np.kron(np.arange(1, 13).reshape(3, 4), np.ones((25, 28), int))[:75, :110].astype(np.uint32)
"""Label image of the fixture `stack`: twelve cells."""
ROIS = np.array([[0.0, 0.0, 55.0, 37.5], [5.0, 2.5, 10.0, 10.0]], np.float32)
"""Origin and size of two regions in micrometers."""
COLUMNS = ["x_micrometer", "y_micrometer", "len_x_micrometer", "len_y_micrometer"]


def _ome(version: Version, **metadata: Any) -> dict[str, Any]:
    return {"ome": {"version": "0.5", **metadata}} if version == "0.5" else metadata


def _image(version: Version, axes: str, paths: list[str]) -> list[dict[str, Any]]:
    kinds = {"c": {"type": "channel"}}
    named = [{"name": axis, **kinds.get(axis, {"type": "space", "unit": "micrometer"})} for axis in axes]
    sets = [
        {"path": p, "coordinateTransformations": [
            {"type": "scale", "scale": [1.0] * (len(axes) - 2) + [0.5 * 2**n, 0.5 * 2**n]}]}
        for n, p in enumerate(paths)
    ]  # fmt: skip
    return [{"name": "i", "axes": named, "datasets": sets, **({} if version == "0.5" else {"version": "0.4"})}]


def write_image(group: zarr.Group, pixels: np.ndarray, version: Version) -> None:
    """Write an image of channels, CYX."""
    _array(group, "0", pixels, version, "cyx")
    group.attrs.update(_ome(version, multiscales=_image(version, "cyx", ["0"])))


def _array(group: zarr.Group, name: str, values: np.ndarray, version: Version, axes: str = "", **more: Any) -> None:
    options: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if version == "0.4" else {}
    if version == "0.5" and axes:
        options = {"dimension_names": tuple(axes)}
    chunks = tuple(min(40, n) or 1 for n in values.shape)
    dtype = str if values.dtype.kind in "OT" else values.dtype
    made = group.create_array(name, shape=values.shape, dtype=dtype, chunks=chunks, attributes=more, **options)
    made[...] = values


def annotate(group: zarr.Group, version: Version) -> None:
    """Add two labels, one of them with two levels, an AnnData table of regions, and a table in CSV."""
    labels = group.create_group("labels", attributes=_ome(version, labels=["cells", "nuclei"]))
    for name, levels in (("cells", 2), ("nuclei", 1)):
        label = labels.create_group(name)
        for level in range(levels):
            _array(label, str(level), CELLS[:: 2**level, :: 2**level], version, "yx")
        shown = {"colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}], "source": {"image": "../../"}}
        described = {"version": version, **shown} if version == "0.4" else shown
        multiscale = _image(version, "yx", [str(level) for level in range(levels)])
        label.attrs.update(_ome(version, multiscales=multiscale, **{"image-label": described}))
    tables = group.create_group("tables", attributes={"tables": ["FOV_ROI_table", "counts"]})
    table = tables.create_group("FOV_ROI_table", attributes={
        "encoding-type": "anndata", "encoding-version": "0.1.0", "type": "roi_table", "table_version": "1",
        "region": {"path": "../labels/cells"}})  # fmt: skip
    _array(table, "X", ROIS, version, **{"encoding-type": "array", "encoding-version": "0.2.0"})
    for frame, index in (("obs", ["FOV_1", "cell_Ω"]), ("var", COLUMNS)):
        inner = table.create_group(
            frame, attributes={"_index": "_index", "column-order": [], "encoding-type": "dataframe"}
        )
        _array(inner, "_index", np.array(index, object), version, **{"encoding-type": "string-array"})
    table.create_group("uns", attributes={"encoding-type": "dict"})
    counts = tables.create_group("counts", attributes={"backend": "csv"})
    folder = Path(str(group.store.root)) / counts.path  # type: ignore[attr-defined]
    (folder / "table.csv").write_text("label,area\n1,12.5\n")

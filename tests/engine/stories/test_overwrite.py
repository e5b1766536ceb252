"""An output that is there is replaced only when that is asked for, and only if it is a result."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from interrupted_runs import SETTINGS, begin, stored
from stored_files import files

from napari_restore import api
from napari_restore.engine.store.resume import continues
from napari_restore.errors import OutputError


def done_at_start(source: Path, output: Path, settings: dict[str, Any]) -> int:
    """How many blocks a run takes for done when it begins."""
    events = api.iter_restore(source, output=output, **settings)
    first = next(events)
    events.close()
    return first.done


def test_overwrite_goes_on_with_what_it_began_itself(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    output, again = tmp_path / "out.zarr", {"model": checkpoints["denoiser"], "overwrite": True, **SETTINGS}
    begin(source, output, checkpoints["denoiser"], blocks=4, overwrite=True)
    plan = api.plan(source, **{name: value for name, value in again.items() if name != "overwrite"})
    assert continues(plan, output)
    vars(plan)["source_crops"] = {}  # as of a source that is out of reach
    assert continues(plan, output)
    there = stored(output)
    assert done_at_start(source, output, again) == there >= 4
    api.denoise(source, output, **again)
    assert files(output) == whole
    assert done_at_start(source, output, again) == 0  # complete: replaced


def test_overwrite_replaces_what_was_begun_of_another_source(
    source: Path, other_source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    begin(other_source, tmp_path / "out.zarr", checkpoints["denoiser"], blocks=4, value_range=(0, 200))
    settings = {"model": checkpoints["denoiser"], "overwrite": True, "value_range": (0, 200), **SETTINGS}
    assert done_at_start(source, tmp_path / "out.zarr", settings) == 0


def test_overwrite_replaces_what_was_begun_of_a_source_of_other_axes(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    model, output, other = checkpoints["denoiser"], tmp_path / "out.zarr", tmp_path / "other.tif"
    begin(source, output, model, blocks=1, overwrite=True)
    pixels = np.random.default_rng(0).poisson(100, (2, 2, 32, 40)).astype(np.uint16)
    tifffile.imwrite(other, pixels, photometric="minisblack", metadata={"axes": "CZYX"}, ome=True)
    api.denoise(other, output, model=model, overwrite=True, **SETTINGS)
    assert zarr.open_array(output / "0", mode="r").shape == pixels.shape


def test_overwrite_replaces(
    source: Path, checkpoints: dict[str, Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    output, link = tmp_path / "out.zarr", tmp_path / "link.zarr"
    begin(source, output, checkpoints["denoiser"], blocks=1, pyramid=False, dtype="float32")
    (output / "0/c/extra").write_bytes(b"of something else")
    link.symlink_to(output)
    api.denoise(source, link, model=checkpoints["denoiser"], overwrite=True, **SETTINGS)
    assert files(output) == whole
    assert link.is_symlink()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("where", ["same", "inside", "around", "through a link"])
def test_output_and_input_lie_apart(
    begun: Path, checkpoints: dict[str, Path], tmp_path: Path, where: str, overwrite: bool
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(begun, folder / "in.zarr")
    (tmp_path / "link.zarr").symlink_to(folder / "in.zarr")
    outputs = {
        "same": folder / "in.zarr",
        "inside": folder / "in.zarr/out.zarr",
        "around": folder,
        "through a link": tmp_path / "link.zarr/out.zarr",
    }
    before = files(folder)
    with pytest.raises(OutputError, match="inside one another"):
        api.denoise(folder / "in.zarr", outputs[where], model=checkpoints["denoiser"], overwrite=overwrite, **SETTINGS)
    assert files(folder) == before


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["folder", "file"])
def test_what_is_no_zarr_is_never_replaced(
    source: Path, checkpoints: dict[str, Path], tmp_path: Path, name: str, overwrite: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/thesis.txt").write_text("the only copy")
    (tmp_path / "file").write_text("the only copy")
    before = files(tmp_path)
    with pytest.raises(OutputError, match="choose another output"):
        api.denoise(source, tmp_path / name, model=checkpoints["denoiser"], overwrite=overwrite, **SETTINGS)
    assert files(tmp_path) == before


def test_an_empty_folder_is_used(source: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "out.zarr").mkdir()
    begin(source, tmp_path / "out.zarr", checkpoints["denoiser"], blocks=1)

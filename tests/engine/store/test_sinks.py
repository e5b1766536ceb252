from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.store.resume import check_output
from napari_restore.errors import OutputError


def test_a_full_disk_is_seen_before_the_run(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = api.plan(stack, axes="ZYX", model=checkpoints["denoiser"])

    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(OutputError, match=r"49\.5 kB before compression, .* 1\.0 kB free"):
        check_output(plan, tmp_path / "o.zarr")
    assert not (tmp_path / "o.zarr").exists()


@pytest.mark.parametrize("part", ["o.zarr", "a/b/o.zarr"])
def test_a_file_in_place_of_a_folder_is_seen_before_the_run(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path, part: str
) -> None:
    plan = api.plan(stack, axes="ZYX", model=checkpoints["denoiser"])
    (tmp_path / "notes").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be written: .*notes is a file; choose an output in a folder"):
        check_output(plan, tmp_path / "notes" / part)


def test_a_protected_folder_is_seen_before_the_run(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = api.plan(stack, axes="ZYX", model=checkpoints["denoiser"])
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the owner of this test may be root
    with pytest.raises(OutputError, match=r"is write-protected; choose an output in a folder"):
        check_output(plan, tmp_path / "a" / "o.zarr")


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_alpha_is_white_and_not_shown(checkpoints: dict[str, Path], tmp_path: Path, version: str) -> None:
    image = np.random.default_rng(0).integers(0, 4000, (40, 50, 4), np.uint16)
    settings = {"axes": "YXS", "model": checkpoints["denoiser"], "ome_version": version, "value_range": (10, 4000)}
    api.denoise(image, tmp_path / "o.zarr", **settings)  # type: ignore[arg-type]
    *colours, alpha = api.open_image(tmp_path / "o.zarr").channels
    assert (alpha.name, alpha.color, alpha.shown) == ("alpha", "FFFFFF", False)
    assert all(channel.shown and channel.window == (10, 4000) for channel in colours)

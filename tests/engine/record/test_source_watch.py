import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_restore import api
from napari_restore.errors import OutputError, RestoreError, SourceChanged, SourceError, SourceLost

PIXELS = np.random.default_rng(0).poisson(100, (8, 64, 96)).astype(np.uint16)
OTHER = PIXELS[::-1] + np.uint16(500)


def raw(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "ZYX"})


def chunked(path: Path, pixels: np.ndarray) -> None:
    array = zarr.create_array(
        path, shape=pixels.shape, dtype="u2", chunks=(1, 64, 96), dimension_names=("z", "y", "x"), overwrite=True
    )
    array[:] = pixels


@pytest.fixture
def settings(checkpoints: dict[str, Path]) -> dict[str, Any]:
    return {
        "model": checkpoints["local"], "tile": 64, "halo": 8, "value_range": (0, 800), "workers": 1, "device": "cpu",
        "chunks": (1, 64, 96), "shards": (1, 64, 96),
    }  # fmt: skip


def interrupted(source: Path, output: Path, after: int, change: Callable[[], Any], settings: dict[str, Any]) -> None:
    """Run, and do something when so many blocks are done."""
    done = False
    for event in api.iter_restore(source, output=output, **settings):
        if event.stage == "restoring" and event.done >= after and not done:
            change()
            done = True


def pixels_of(path: Path) -> np.ndarray:
    return api.open_image(path).read((slice(None),) * 3)


@pytest.mark.parametrize(("write", "name"), [(raw, "a.tif"), (chunked, "a.zarr")])
def test_a_source_that_is_replaced_is_told_with_its_blocks_and_mended_by_the_first_one(
    tmp_path: Path, settings: dict[str, Any], write: Any, name: str
) -> None:
    source, output = tmp_path / name, tmp_path / "o.zarr"
    write(source, PIXELS)
    api.denoise(source, tmp_path / "whole.zarr", **settings)
    with pytest.raises(SourceChanged, match=r"replaced or changed.*are in doubt.*: \(") as caught:
        interrupted(source, output, 3, lambda: write(source, OTHER), settings)
    found = api.verify(output)
    assert not found.ok and len(found.filled) >= 4
    assert all(reason.startswith("in doubt") for reasons in found.filled.values() for reason in reasons)
    if name == "a.tif":  # the file tells when it was replaced
        assert "(0, 0, 0)" not in str(caught.value) and "(7, 0, 0)" in str(caught.value)
    with pytest.raises(OutputError, match="another source"):
        api.denoise(source, output, **settings)
    write(source, PIXELS)
    api.denoise(source, output, **settings)
    assert api.verify(output, recompute=8).ok
    np.testing.assert_array_equal(pixels_of(output), pixels_of(tmp_path / "whole.zarr"))


def test_with_overwrite_the_new_source_is_restored(tmp_path: Path, settings: dict[str, Any]) -> None:
    source, output = tmp_path / "a.tif", tmp_path / "o.zarr"
    raw(source, PIXELS)
    with pytest.raises(SourceChanged):
        interrupted(source, output, 3, lambda: raw(source, OTHER), settings)
    api.denoise(source, output, overwrite=True, **settings)
    assert api.verify(output, recompute=8).ok
    api.denoise(source, tmp_path / "whole.zarr", **settings)
    np.testing.assert_array_equal(pixels_of(output), pixels_of(tmp_path / "whole.zarr"))


def test_what_overwrite_replaces_stays_while_the_new_result_is_in_doubt(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    source, output = tmp_path / "a.tif", tmp_path / "o.zarr"
    raw(source, PIXELS)
    api.denoise(source, output, **settings | {"value_range": (0, 700)})
    with pytest.raises(SourceChanged):
        interrupted(source, output, 3, lambda: raw(source, OTHER), settings | {"overwrite": True})
    assert list((tmp_path / ".o.zarr.replaced").iterdir())
    raw(source, PIXELS)
    api.denoise(source, output, overwrite=True, **settings)
    assert api.verify(output, recompute=8).ok and not (tmp_path / ".o.zarr.replaced").exists()


def test_a_chunk_that_is_written_to_is_found_where_a_crop_touches_it(tmp_path: Path, settings: dict[str, Any]) -> None:
    source, output = tmp_path / "a.zarr", tmp_path / "o.zarr"
    chunked(source, PIXELS)

    def change() -> None:
        zarr.open_array(source, mode="r+")[:] = 0

    with pytest.raises(SourceChanged):
        interrupted(source, output, 1, change, settings)


def test_chunks_that_are_deleted_are_found_though_zarr_takes_them_for_empty(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    source, output = tmp_path / "a.zarr", tmp_path / "o.zarr"
    chunked(source, PIXELS)
    with pytest.raises(SourceChanged):
        interrupted(source, output, 1, lambda: shutil.rmtree(source / "c"), settings)


def test_a_file_that_is_written_again_with_the_same_pixels_is_none(
    tmp_path: Path, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    source, output = tmp_path / "a.tif", tmp_path / "o.zarr"
    raw(source, PIXELS)
    interrupted(source, output, 3, lambda: os.utime(source, (1, 1)), settings)
    assert "was written to during the run" in caplog.text
    assert api.verify(output).ok


def test_a_source_that_becomes_shorter_ends_the_run_and_its_blocks_are_in_doubt(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    source, output = tmp_path / "a.tif", tmp_path / "o.zarr"
    raw(source, PIXELS)
    api.denoise(source, tmp_path / "whole.zarr", **settings)

    def change() -> None:
        raw(source, OTHER)
        os.truncate(source, os.path.getsize(source) - PIXELS[:2].nbytes)

    with pytest.raises(SourceError):
        interrupted(source, output, 2, change, settings)
    raw(source, PIXELS)
    api.denoise(source, output, **settings)
    np.testing.assert_array_equal(pixels_of(output), pixels_of(tmp_path / "whole.zarr"))


@pytest.mark.parametrize("policy", ["raise", "fill"])
@pytest.mark.parametrize(("write", "name"), [(raw, "a.tif"), (chunked, "a.zarr")])
def test_a_source_that_is_gone_ends_the_run_also_with_fill_and_nothing_is_made_up(
    tmp_path: Path, settings: dict[str, Any], write: Any, name: str, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_restore.retrying.sleep", lambda seconds: None)
    source, output = tmp_path / name, tmp_path / "o.zarr"
    write(source, PIXELS)
    api.denoise(source, tmp_path / "whole.zarr", **settings)
    with pytest.raises(SourceLost, match="not there any more"):
        interrupted(source, output, 2, lambda: source.rename(tmp_path / "moved"), settings | {"on_error": policy})
    (tmp_path / "moved").rename(source)
    api.denoise(source, output, **settings)
    assert api.verify(output).ok
    np.testing.assert_array_equal(pixels_of(output), pixels_of(tmp_path / "whole.zarr"))


def test_a_run_that_fails_for_another_reason_says_that_reason(tmp_path: Path, settings: dict[str, Any]) -> None:
    source, output = tmp_path / "a.zarr", tmp_path / "o.zarr"
    chunked(source, PIXELS)
    with pytest.raises(RestoreError, match=r"chunk \(7, 0, 0\)"):
        interrupted(source, output, 1, lambda: (source / "c/7/0/0").write_bytes(b"damaged"), settings)

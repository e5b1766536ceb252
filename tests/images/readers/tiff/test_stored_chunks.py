import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_restore import api
from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.opening import open_image

PIXELS = np.random.default_rng(0).poisson(100, (256, 256)).astype(np.uint16)
KINDS: dict[str, dict[str, Any]] = {
    "tiles, deflate": {"tile": (64, 64), "compression": "deflate"},
    "tiles": {"tile": (64, 64)},
    "strips, deflate": {"rowsperstrip": 32, "compression": "deflate"},
    "strips": {"rowsperstrip": 32},
}


def edited(path: Path, change: Callable[[bytearray, Any, tuple[int, int]], None], **settings: Any) -> Path:
    """Write a TIFF and change bytes of its directory; `change` is given the tags of places and of lengths."""
    tifffile.imwrite(path, PIXELS, photometric="minisblack", **settings)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        change(content, tags, (324, 325) if 324 in tags else (273, 279))
    path.write_bytes(content)
    return path


def half(*which: int) -> Callable[[bytearray, Any, tuple[int, int]], None]:
    """Half of the values of a tag alone are there."""

    def change(content: bytearray, tags: Any, codes: tuple[int, int]) -> None:
        for tag in (tags[codes[one]] for one in which):
            content[tag.offset + 4 : tag.offset + 8] = struct.pack("<I", tag.count // 2)

    return change


def emptied(chunks: range, *which: int) -> Callable[[bytearray, Any, tuple[int, int]], None]:
    def change(content: bytearray, tags: Any, codes: tuple[int, int]) -> None:
        for tag in (tags[codes[one]] for one in which):
            size = {4: 4, 3: 2, 16: 8}[int(tag.dtype)]
            for chunk in chunks:
                place = tag.valueoffset + chunk * size
                content[place : place + size] = bytes(size)

    return change


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [
    half(0, 1), emptied(range(1, 4), 0), emptied(range(1, 4), 1), emptied(range(1, 4), 0, 1), emptied(range(1), 0, 1),
])  # fmt: skip
def test_what_is_not_stored_is_an_error_and_never_zeros(tmp_path: Path, kind: str, change: Any) -> None:
    image = open_image(edited(tmp_path / "a.tif", change, **KINDS[kind]))
    assert any("strips or tiles are not stored" in note for note in image.notes)
    with pytest.raises(ChunkError, match=r"is not stored, .*a run with on_error='fill' continues without it") as raised:
        image.read((slice(None),) * 2)
    shown = raised.value.told("window")  # through the wrappers around the reader
    assert "with fill in On error, a run continues" in shown and "on_error" not in shown


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", [0, 1])
def test_places_and_lengths_of_unlike_number_are_no_pixels(tmp_path: Path, kind: str, which: int) -> None:
    """Places alone are enough where strips follow each other; then the pixels are right."""
    path = edited(tmp_path / "a.tif", half(which), **KINDS[kind])
    try:
        found = open_image(path).read((slice(None),) * 2)
    except SourceError:
        return
    np.testing.assert_array_equal(found, PIXELS)


def test_a_file_without_pixels_is_refused(tmp_path: Path) -> None:
    path = edited(tmp_path / "a.tif", emptied(range(16), 0, 1), tile=(64, 64))
    with pytest.raises(SourceError, match="it has no pixels"):
        open_image(path)


@pytest.mark.parametrize("kind", ["tiles, deflate", "strips"])
def test_with_fill_a_run_goes_on_and_lists_the_places(tmp_path: Path, checkpoints: dict[str, Path], kind: str) -> None:
    path = edited(tmp_path / "a.tif", emptied(range(1, 2), 0, 1), **KINDS[kind])
    settings: dict[str, Any] = {"model": checkpoints["local"], "tile": 64, "halo": 8, "value_range": (60, 140)}
    with pytest.raises(ChunkError, match="is not stored"):
        api.denoise(path, tmp_path / "o.zarr", **settings)
    api.denoise(path, tmp_path / "o.zarr", on_error="fill", **settings)
    found = api.verify(tmp_path / "o.zarr")
    assert found.filled and all("is not stored" in reason for reasons in found.filled.values() for reason in reasons)
    result = api.open_image(tmp_path / "o.zarr").read((slice(None),) * 2)
    missing = (slice(0, 64), slice(64, 128)) if "tiles" in kind else (slice(32, 64), slice(None))
    assert (result[missing] == 60).all()
    assert (result != 60).mean() > 0.5


def test_nodata_says_what_tiles_stand_for_that_are_left_out_on_purpose(tmp_path: Path) -> None:
    """As GDAL writes them with SPARSE_OK: its tag says the value."""
    path = edited(
        tmp_path / "a.tif", emptied(range(1, 2), 0, 1), tile=(64, 64), compression="deflate",
        extratags=[(42113, "s", 0, "77", True)],
    )  # fmt: skip
    image = open_image(path)
    assert any("are the file's nodata value" in note for note in image.notes)
    pixels = image.read((slice(None),) * 2)
    assert (pixels[:64, 64:128] == 77).all()
    pixels[:64, 64:128] = PIXELS[:64, 64:128]
    np.testing.assert_array_equal(pixels, PIXELS)


def test_pixels_in_the_header_are_refused(tmp_path: Path) -> None:
    def change(content: bytearray, tags: Any, codes: tuple[int, int]) -> None:
        tag = tags[codes[0]]
        content[tag.valueoffset : tag.valueoffset + 4] = struct.pack("<I", 4)

    path = edited(tmp_path / "a.tif", change, tile=(64, 64))
    with pytest.raises(SourceError, match="in the header"):
        open_image(path)

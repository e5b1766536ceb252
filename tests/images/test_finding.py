from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from ndtiff_files import write_ndtiff
from tiff_files import companion_ome

from napari_restore.errors import SourceError
from napari_restore.images.finding import find_images


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Folders of files that are only looked at by name, and a Zarr."""
    for name in ("a/x.tif", "b/x.ome.tif", "b/y_10.tif", "b/y_2.TIF", "b/notes.txt", "b/.hidden.tif"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"-")
    zarr.create_array(tmp_path / "data/b/z.ome.zarr", shape=(8, 8), dtype="u1")
    return tmp_path / "data"


def outputs(*sources: str | Path, apart: Path | None = None) -> list[str]:
    return [found.output for found in find_images(sources, apart=apart)[0]]


def test_a_folder_stands_for_its_images(data: Path) -> None:
    found, ignored = find_images([data])
    assert [one.output for one in found] == ["a/x.zarr", "b/x.zarr", "b/y_2.zarr", "b/y_10.zarr", "b/z.zarr"]
    assert ignored == [str(data / "b/notes.txt")]
    assert found[0].source == str(data / "a/x.tif")


def test_a_data_set_is_one_image_whatever_lies_in_it(data: Path) -> None:
    shots = [({"time": t}, np.zeros((8, 8), np.uint8), {}) for t in range(4)]
    write_ndtiff(data / "a/set_1", shots, per_file=2)
    write_ndtiff(data / "a/set_2/Full resolution", shots)
    assert outputs(data / "a") == ["set_1.zarr", "set_2.zarr", "x.zarr"]
    assert outputs(data / "a/set_2") == ["set_2.zarr"]
    assert outputs(data / "a/set_*") == ["set_1.zarr", "set_2.zarr"]


def test_names_keep_what_tells_them_apart(data: Path) -> None:
    assert outputs(data / "b") == ["x.zarr", "y_2.zarr", "y_10.zarr", "z.zarr"]
    assert outputs(data / "a/x.tif", data / "b/x.ome.tif") == ["a/x.zarr", "b/x.zarr"]
    (data / "a/X.czi").write_bytes(b"-")
    assert sorted(outputs(data / "a")) == ["X.czi.zarr", "x.tif.zarr"]
    assert outputs(data / "a/x.tif", data / "a", data / "a/x.tif") == ["x.tif.zarr", "X.czi.zarr"]
    (data / "a.tif").write_bytes(b"-")
    (data / "a.zarr").mkdir()
    (data / "a.zarr/inside.tif").write_bytes(b"-")
    assert set(outputs(data / "a.tif", data / "a.zarr")) == {"a.tif.zarr", "a.zarr/inside.zarr"}


def test_patterns(data: Path) -> None:
    assert outputs(f"{data}/*/x*.tif") == ["a/x.zarr", "b/x.zarr"]
    assert outputs(f"{data}/b/y_?.*") == ["y_2.zarr"]
    assert outputs(f"{data}/**/*") == ["a/x.zarr", "b/x.zarr", "b/y_2.zarr", "b/y_10.zarr", "b/z.zarr"]


def test_results_are_no_sources(data: Path) -> None:
    zarr.create_array(data / "out/x.zarr", shape=(8, 8), dtype="u1")
    assert "out/x.zarr" in outputs(data) and "out/x.zarr" not in outputs(data, apart=data / "out")
    assert "out/x.zarr" not in outputs(f"{data}/**/*", apart=data / "out")


def test_results_that_would_be_sources_are_refused(data: Path) -> None:
    for source in (data, f"{data}/*/*", f"{data}/**/*.zarr"):
        with pytest.raises(SourceError, match="separate folder"):
            outputs(source, apart=data)
    assert outputs(f"{data}/*/*.tif", apart=data) == ["a/x.zarr", "b/x.zarr", "b/y_10.zarr"]
    assert outputs(data / "a/x.tif", apart=data / "a") == ["x.zarr"]
    assert outputs(data / "a", apart=data / "a/out") == ["x.zarr"]
    with pytest.raises(SourceError, match="separate folder"):
        outputs(data / "a", data / "b", apart=data)


def test_nothing_found_is_said(data: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        find_images([data / "c"])
    (data / "c").mkdir()
    with pytest.raises(SourceError, match="no image in"):
        find_images([data / "c"])
    with pytest.raises(SourceError, match="no image in"):
        find_images([f"{data}/*.png"])


@pytest.mark.parametrize("described", ["all.companion.ome", "part0.ome.tif", "part2.ome.tif"])
def test_the_files_of_one_ome_tiff_are_one_image(tmp_path: Path, described: str) -> None:
    companion_ome(tmp_path, described=described)
    (tmp_path / "other.ome.tif").write_bytes(b"-")
    found, ignored = find_images([tmp_path])
    assert len(found) == 2 and found[-1 if described == "all.companion.ome" else 0].output == "other.zarr"
    assert len(ignored) == (3 if described == "all.companion.ome" else 2)


@pytest.mark.parametrize("folder", ["day [2024]", "exp [a]", "[x]/[y] z", "odd ["])
def test_brackets_in_the_name_of_a_folder_are_no_wildcards(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    for name in ("field[1].tif", "img_1.tif", "img_2.tif"):
        (tmp_path / folder / name).write_bytes(b"-")
    assert outputs(tmp_path / folder / "*.tif") == ["field[1].zarr", "img_1.zarr", "img_2.zarr"]
    assert outputs(tmp_path / folder / "img_[2].tif") == ["img_2.zarr"]
    assert outputs(tmp_path / folder / "field[1].tif") == ["field[1].zarr"]
    with pytest.raises(SourceError, match="would be one of the images"):
        find_images([tmp_path / folder / "*"], apart=tmp_path / folder)

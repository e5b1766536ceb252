"""A folder and a prefix keep the same promises."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from napari_restore.errors import OutputError
from napari_restore.images.store import Folder, Place, Prefix, as_location, filesystem, is_url, place_of


@pytest.fixture(params=["folder", "prefix"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return place_of(tmp_path / "image.zarr" if request.param == "folder" else f"memory://{uuid4().hex}/image.zarr")


def put(place: Place, **content: str) -> None:
    """Store objects; "__" in a name is a "/", and "_" a "."."""
    files, root = fsspec.core.url_to_fs(str(place.location))
    for name, text in content.items():
        path = f"{root}/{name.replace('__', '/').replace('_', '.')}"
        files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        files.pipe_file(path, text.encode())


def test_kinds(tmp_path: Path) -> None:
    assert isinstance(place_of(tmp_path), Folder) and isinstance(place_of("s3://bucket/a.zarr/"), Prefix)
    assert place_of("s3://bucket/a.zarr/").location == "s3://bucket/a.zarr"
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert place_of(tmp_path / "link").location == tmp_path / "there"


def test_what_is_a_url_and_what_a_path(tmp_path: Path) -> None:
    assert is_url("s3://b/a") and is_url("memory://a")
    assert not any(map(is_url, ("C:\\a", "/a//b", "a:b", tmp_path)))
    assert as_location("s3://b//a") == "s3://b//a" and as_location("a//b.zarr") == Path("a/b.zarr")


def test_single_objects(place: Place) -> None:
    assert place.get("0/.a.json") is None
    place.put("0/.a.json", b"one")
    place.put("0/.a.json", memoryview(b"two"))
    place.put("0/c/empty", b"")
    assert place.get("0/.a.json") == b"two" and place.get("0") is None and place.get("0/.a.json/b") is None
    assert list(place.keys("0")) == [".a.json"] and set(place.keys("0", empty=True)) == {".a.json", "c/empty"}
    assert list(place.keys("1")) == list(place.keys("1", empty=True)) == []
    place.remove("0/.a.json")
    place.remove("0/.a.json")
    assert place.get("0/.a.json") is None


def test_an_object_is_put_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(tmp_path)
    place.put("a", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        place.put("a", b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a", b"old")]


def test_a_folder_that_is_gone_is_missed(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    assert place_of(tmp_path).lacks_folder("1") and not place_of(tmp_path).lacks_folder("0")
    assert not place_of("memory://nowhere/a.zarr").lacks_folder("0")  # an object store has none to lack


def test_the_outermost_zarr(tmp_path: Path) -> None:
    assert place_of("s3://b/plate.zarr/A/1/x.zarr").outermost_zarr() == "s3://b/plate.zarr"
    assert place_of("s3://b/a/x.zarr").outermost_zarr() == "s3://b/a/x.zarr"
    inner = tmp_path / "plate" / "A" / "1"
    assert place_of(inner).outermost_zarr() == inner.as_posix()
    inner.mkdir(parents=True)
    for folder, mark in ((inner.parent, "zarr.json"), (inner.parent.parent, ".zgroup")):
        (folder / mark).write_text("{}")
    assert place_of(inner).outermost_zarr() == (tmp_path / "plate").as_posix()
    (inner.parent.parent / ".zgroup").rename(inner.parent.parent / ".zarray")  # holds no other images
    assert place_of(inner).outermost_zarr() == inner.parent.as_posix()


def test_what_is_there(place: Place) -> None:
    assert place.holds() == "nothing"
    put(place, c__0="pixels")
    assert place.holds() == "other"
    put(place, zarr_json="{}")
    assert place.holds() == "zarr"


def test_a_file_is_no_zarr(place: Place) -> None:
    files, root = fsspec.core.url_to_fs(str(place.location))
    files.makedirs(root.rsplit("/", 1)[0], exist_ok=True)
    files.pipe_file(root, b"the only copy")
    assert place.holds() == "other"


def test_keys_of_what_is_not_empty(place: Place) -> None:
    put(place, **{"0__zarr_json": "{}", "0__c__0__0": "pixels", "0__c__0__1": "", "1__c__0__0": "pixels"})
    assert sorted(place.keys("0")) == ["c/0/0", "zarr.json"]
    assert place.has("1") and not place.has("2")


def test_made_whole_or_not_at_all(place: Place) -> None:
    def half(location: Path | str) -> None:
        put(place_of(location), **{"0__zarr_json": "{}"})
        raise KeyboardInterrupt

    def whole(location: Path | str) -> None:
        put(place_of(location), zarr_json="{}")

    with pytest.raises(KeyboardInterrupt):
        place.create(half)
    assert place.holds() == "nothing"
    place.create(whole)
    assert place.holds() == "zarr"
    assert not place.has("0")  # nothing of the first try
    files, root = fsspec.core.url_to_fs(str(place.location))
    assert [name.rsplit("/", 1)[-1] for name in files.find(root)] == ["zarr.json"]


def test_deleted(place: Place) -> None:
    put(place, **{"zarr_json": "{}", "0__c__0": "pixels", "a": "", "zz": ""})
    place.delete()
    assert place.holds() == "nothing"


def test_swept(tmp_path: Path) -> None:
    partial = tmp_path / f"0/c/0.{'0a' * 16}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_text("half")
    assert list(Folder(tmp_path).keys("0")) == []
    assert Folder(tmp_path).sweep() == 1
    assert not partial.exists()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("s3://b/a.zarr", "s3://b/a.zarr/", True),
        ("s3://b/a.zarr", "s3://b/a.zarr/0", True),
        ("s3://b", "s3://b/a.zarr", True),
        ("s3://b/a.zarr", "s3://b/a.zarr.old", False),
        ("s3://b/a.zarr", "/data/a.zarr", False),
        ("/data/a.zarr", "s3://b/a.zarr", False),
        ("/data/a.zarr", "/data/a.zarr/0", True),
        ("/data/a.zarr", "/data/b.zarr", False),
    ],
)
def test_overlaps(one: str, other: str, expected: bool) -> None:
    assert place_of(one).overlaps(other) is expected


def test_a_package_that_is_missing() -> None:
    with pytest.raises(OutputError, match=r"nowhere://a cannot be opened: .*use a path on a disk"):
        filesystem("nowhere://a")


def test_what_goes_wrong_names_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def ls(self, *_: object, **__: object) -> None:
            raise RuntimeError("no credentials")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url, **_: (Broken(), "b/a.zarr"))
    with pytest.raises(OutputError, match=r"s3://b/a\.zarr cannot be reached: .*no credentials.*check the address"):
        place_of("s3://b/a.zarr").holds()


@pytest.mark.parametrize(
    ("more", "foreign"),
    [
        ({}, None),
        ({"0__zarr_json": "{}", "c__0": "x", "_zattrs": "x", "3": "x", "0_1_2": "x"}, None),
        ({"labels__zarr_json": "{}", "OME__METADATA_ome_xml": "x"}, None),
        ({"notes_txt": "x"}, "notes.txt"),
        ({"thesis__chapter_tex": "x"}, "thesis"),
        ({"_git__config": "x"}, ".git"),
    ],
)
def test_what_a_zarr_holds_besides(place: Place, more: dict[str, str], foreign: str | None) -> None:
    put(place, zarr_json="{}", **more)
    assert place.holds() == "zarr" and place.foreign() == foreign


def test_what_an_interrupted_making_left_is_replaced_and_nothing_else() -> None:
    place = place_of(f"memory://{uuid4().hex}/image.zarr")
    put(place, _napari__restore_new="", zarr_json="old", **{"0__zarr_json": "old", "notes_txt": "mine"})
    files, root = fsspec.core.url_to_fs(str(place.location))
    files.pipe_file(f"{root}/.napari_restore.new", b"")
    place.create(lambda at: None)
    assert files.cat_file(f"{root}/notes.txt") == b"mine" and not files.exists(f"{root}/0/zarr.json")

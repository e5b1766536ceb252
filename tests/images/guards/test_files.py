import os
from pathlib import Path

import pytest

from napari_restore.errors import SourceError
from napari_restore.images.guards.files import allowing_outside, surroundings_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "cells.h5").write_bytes(b"pixels")
    (tmp_path / "secret").write_bytes(b"secret")
    return folder / "cells.h5"


def test_files_inside_the_folder_may_be_read(source: Path) -> None:
    (source.parent / "sub").mkdir()
    (source.parent / "sub/part").write_bytes(b"")
    (source.parent / "link").symlink_to("sub/part")
    for name in ("cells.h5", "sub/part", "link", "not there"):
        surroundings_of(str(source)).check(str(source.parent / name))
        surroundings_of(str(source.parent)).check(str(source.parent / name))


def test_what_leaves_the_folder_is_refused_unless_it_is_allowed(source: Path) -> None:
    (source.parent / "link").symlink_to(source.parent.parent / "secret")
    (source.parent / "up").symlink_to("..")
    ways = [source.parent / name for name in ("link", "../secret", "up/secret")]
    for way in [*ways, source.parent.parent / "secret", Path("/etc/passwd")]:
        with pytest.raises(SourceError, match=r"outside its folder .*allow_outside"):
            surroundings_of(str(source)).check(str(way))
        with allowing_outside(True):
            surroundings_of(str(source)).check(str(way))


def test_a_folder_whose_name_begins_alike_is_another_one(source: Path) -> None:
    other = source.parent.with_name("mine too")
    other.mkdir()
    (other / "file").write_bytes(b"")
    with pytest.raises(SourceError, match="outside"):
        surroundings_of(str(source)).check(str(other / "file"))


def test_what_the_user_has_named_by_a_link_is_read(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/named.h5").symlink_to(source)
    surroundings = surroundings_of(str(tmp_path / "elsewhere/named.h5"))
    surroundings.check(str(source))
    surroundings.check(str(tmp_path / "elsewhere/named.h5"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_or_a_device_is_never_read(source: Path) -> None:
    os.mkfifo(source.parent / "pipe")
    for path, kind in (
        (source.parent / "pipe", "a pipe"),
        (Path("/dev/zero"), "a device"),
        (source.parent, "a folder"),
    ):
        with allowing_outside(True), pytest.raises(SourceError, match=f"is {kind} and no regular file"):
            surroundings_of(str(source)).check(str(path))


def test_links_in_a_circle_are_told(source: Path) -> None:
    (source.parent / "a").symlink_to("b")
    (source.parent / "b").symlink_to("a")
    with pytest.raises(SourceError, match="cannot be opened"):
        surroundings_of(str(source)).check(str(source.parent / "a"))

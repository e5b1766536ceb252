from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_restore.files import fresh_file, has_linked_parent, is_ours, open_own, remove_ours, write_whole

TOKEN = 32 * "a"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "thesis.txt"
    path.parent.mkdir()
    path.write_text("precious")
    return path


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "report.json").symlink_to(precious)
    write_whole(tmp_path / "report.json", "{}")
    assert precious.read_text() == "precious" and (tmp_path / "report.json").read_text() == "{}"
    assert not (tmp_path / "report.json").is_symlink()


def test_names_that_can_be_foreseen_are_not_written_to(tmp_path: Path, precious: Path) -> None:
    for name in (".report.json.new", "report.json.partial", ".report.new.json"):
        (tmp_path / name).symlink_to(precious)
    write_whole(tmp_path / "report.json", "{}")
    assert precious.read_text() == "precious"


def test_a_file_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    write_whole(tmp_path / "weights.bin", b"old")

    def fail() -> None:
        with fresh_file(tmp_path / "weights.bin") as fresh:
            fresh.write_bytes(b"ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == ["weights.bin"] and (tmp_path / "weights.bin").read_bytes() == b"old"


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path, precious: Path) -> None:
    left, linked = (tmp_path / f".page.{32 * letter}.new.md" for letter in "ab")
    others = [tmp_path / f".page.{32 * 'a'}.new.txt", tmp_path / ".page.draft.new.md"]
    linked.symlink_to(precious)
    for path in (left, *others):
        path.write_text("half")
        os.utime(path, (0, 0))
    write_whole(tmp_path / "page.md", "whole")
    assert not left.exists() and linked.is_symlink() and all(path.exists() for path in others)


def test_a_file_that_outlasts_a_process_is_gone_on_with(tmp_path: Path, precious: Path) -> None:
    partial = tmp_path / "weights.partial"
    with open_own(partial) as file:
        file.write(b"one")
    with open_own(partial, append=True) as file:
        file.write(b"two")
    assert partial.read_bytes() == b"onetwo"
    with open_own(partial) as file:
        file.write(b"three")
    assert partial.read_bytes() == b"three"


@pytest.mark.parametrize("append", [True, False])
def test_links_in_its_place_are_deleted(tmp_path: Path, precious: Path, append: bool) -> None:
    for link in (Path.symlink_to, Path.hardlink_to):
        partial = tmp_path / "weights.partial"
        link(partial, precious)
        with open_own(partial, append=append) as file:
            file.write(b"bytes")
        assert partial.read_bytes() == b"bytes" and precious.read_text() == "precious"
        partial.unlink()


def test_what_is_ours(tmp_path: Path, precious: Path) -> None:
    ours, begun, plain, linked, called = (tmp_path / place / TOKEN for place in "abcde")
    for folder in (ours, begun, plain, called):
        folder.mkdir(parents=True)
    linked.parent.mkdir()
    (ours / "owner.json").write_text("{}")
    (ours / "to the thesis").symlink_to(precious.parent)
    (plain / "file").write_text("precious")
    linked.symlink_to(ours)
    (called / "owner.json").symlink_to(precious)
    (tmp_path / "thesis").mkdir()
    assert [is_ours(p) for p in (ours, begun, plain, linked, called, tmp_path / "thesis")] == [True, True] + 4 * [False]
    for folder in (ours, begun, plain, linked, called, tmp_path / "thesis"):
        remove_ours(folder)
    assert not ours.exists() and not begun.exists()
    assert (plain / "file").exists() and called.exists() and (tmp_path / "thesis").exists() and precious.exists()


def test_a_link_above_a_path_is_found(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert has_linked_parent(tmp_path / "link/file") and has_linked_parent(tmp_path / "link/new/file")
    assert not has_linked_parent(tmp_path / "real/new/folder/file") and not has_linked_parent(tmp_path / "link")

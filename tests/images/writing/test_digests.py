from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from napari_restore.errors import OutputTaken
from napari_restore.images.staging import Stage
from napari_restore.images.writing.digests import SUMS, gather_digests, read_digests, record_digest, sha256_of


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "image.zarr/0").mkdir(parents=True)
    return tmp_path / "image.zarr"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "own").mkdir()
    return Stage(tmp_path / "own")


def store(stage: Stage, root: Path, name: str, content: bytes) -> None:
    record_digest(stage, root, name, content)
    stage.put(root / name, content)


def test_what_is_stored_is_known_before_and_after_a_run_has_ended(stage: Stage, root: Path) -> None:
    names = [f"{level}/c/{i}/{j}" for level in (1, 0) for i in (10, 9) for j in (0, 1)]
    for name in names:
        store(stage, root, name, name.encode())
    for _ in range(2):
        digests = read_digests(root)
        assert digests.sound and digests.known == {name: {sha(name.encode())} for name in names}
        assert digests.fits("0/c/9/1", sha(b"0/c/9/1")) and digests.fits("0/c/9/1", sha(b"?")) is False
        assert digests.fits("0/c/9/2", sha(b"?")) is None
        gather_digests(root, stage)
    assert sorted(os.listdir(root / "0")) == [".sha256sums", "c"]


def test_the_order_of_the_run_is_not_in_the_list(stage: Stage, root: Path, tmp_path: Path) -> None:
    lists = []
    for names in (["0/c/0", "0/c/1", "0/c/10"], ["0/c/10", "0/c/1", "0/c/0", "0/c/1"]):
        for name in names:
            store(stage, root, name, name.encode())
        gather_digests(root, stage)
        lists.append((root / SUMS).read_text())
        shutil.rmtree(root / "0")
        (root / "0").mkdir()
    assert lists[0] == lists[1]


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_the_usual_program_reads_it(stage: Stage, root: Path) -> None:
    store(stage, root, "0/c/0", b"pixels")
    gather_digests(root, stage)
    check = ["sha256sum", "--check", "--strict", SUMS]
    assert subprocess.run(check, cwd=root, capture_output=True, check=False).returncode == 0
    (root / "0/c/0").write_bytes(b"pixelt")
    assert subprocess.run(check, cwd=root, capture_output=True, check=False).returncode == 1


def test_of_an_object_that_was_stored_twice_the_digest_that_fits_is_kept(stage: Stage, root: Path) -> None:
    for content in (b"filled", b"healed"):
        store(stage, root, "0/c/0", content)
    assert read_digests(root).known["0/c/0"] == {sha(b"filled"), sha(b"healed")}
    gather_digests(root, stage)
    assert read_digests(root).known["0/c/0"] == {sha(b"healed")}


def test_every_bit_of_the_list_is_covered(stage: Stage, root: Path) -> None:
    store(stage, root, "0/c/0", b"pixels")
    gather_digests(root, stage)
    whole = (root / SUMS).read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        (root / SUMS).write_bytes(flipped)
        assert not read_digests(root).sound


def test_threads_write_whole_lines(stage: Stage, root: Path) -> None:
    names = [f"0/c/{i}" for i in range(200)]

    def work(part: int) -> None:
        for name in names[part::8]:
            record_digest(stage, root, name, name.encode())

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_digests(root).known.keys() == set(names)


def test_a_line_that_was_cut_off_is_left_out(stage: Stage, root: Path) -> None:
    store(stage, root, "0/c/0", b"pixels")
    store(stage, root, "0/c/1", b"pixels")
    (log,) = (root / "0/.digests").iterdir()
    log.write_bytes(log.read_bytes()[:-10])
    assert read_digests(root).known.keys() == {"0/c/0"}


def test_who_has_lost_the_lock_records_nothing(stage: Stage, root: Path) -> None:
    stage.folder.rmdir()
    with pytest.raises(OutputTaken):
        record_digest(stage, root, "0/c/0", b"pixels")
    assert os.listdir(root / "0") == []


def test_after_the_list_was_gathered_a_straggler_begins_anew(stage: Stage, root: Path) -> None:
    store(stage, root, "0/c/0", b"pixels")
    gather_digests(root, stage)
    store(stage, root, "0/c/1", b"more")
    assert read_digests(root).known.keys() == {"0/c/0", "0/c/1"}
    gather_digests(root, stage)
    assert len((root / SUMS).read_text().splitlines()) == 3


def test_a_file_that_is_not_there_has_no_digest(tmp_path: Path) -> None:
    assert sha256_of(tmp_path / "nothing") is None

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_restore.engine.hardware import converted
from napari_restore.engine.hardware.converted import Conversion, find_converted, keep_converted, refuse
from napari_restore.models.zoo import find_card

CARD = find_card("restormer-denoise-light")
ASKED = Conversion(CARD, (1, 1, 64, 64), "float32", "1.2.3")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path))
    return tmp_path / "converted"


def test_it_is_known_by_digest_tile_precision_and_version() -> None:
    assert find_converted(ASKED) is None
    keep_converted(ASKED, b"a network")
    assert find_converted(ASKED) == converted.Converted(b"a network")
    others = (
        Conversion(CARD.model_copy(update={"sha256": "0" * 64}), ASKED.shape, "float32", "1.2.3"),
        Conversion(CARD.model_copy(update={"hyperparameters": {"dim": 8}}), ASKED.shape, "float32", "1.2.3"),
        Conversion(CARD, (1, 1, 64, 72), "float32", "1.2.3"),
        Conversion(CARD, ASKED.shape, "bfloat16", "1.2.3"),
        Conversion(CARD, ASKED.shape, "float32", "1.2.4"),
    )
    for other in others:
        assert find_converted(other) is None
        keep_converted(other, str(other.shape).encode())
    assert len({other.path for other in (ASKED, *others)}) == 6
    assert find_converted(ASKED) == converted.Converted(b"a network")


def test_other_sources_of_the_networks_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_converted(ASKED, b"a network")
    monkeypatch.setattr(converted, "networks_digest", lambda: "changed")
    assert find_converted(ASKED) is None


def test_a_reason_is_kept_like_a_network(folder: Path) -> None:
    refuse(ASKED, "it differs from torch by 0.1")
    assert find_converted(ASKED, whole=False) == converted.Converted(b"", "it differs from torch by 0.1")
    assert find_converted(ASKED) == find_converted(ASKED, whole=False)


@pytest.mark.parametrize("place", [0, 40, -1])
def test_damage_is_found_and_told(place: int, caplog: pytest.LogCaptureFixture) -> None:
    keep_converted(ASKED, bytes(range(256)))
    content = bytearray(ASKED.path.read_bytes())
    content[place] ^= 0xFF
    ASKED.path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert find_converted(ASKED) is None
    # A changed key is that of another network, which is no damage to be told.
    assert place == 40 or "converted anew" in caplog.text
    ASKED.path.write_bytes(b"")
    assert find_converted(ASKED) is None


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_kill_leaves_the_earlier_one_or_none(folder: Path) -> None:
    write = (
        "import os, signal\n"
        "from napari_restore import files\n"
        "from napari_restore.engine.hardware.converted import Conversion, keep_converted\n"
        "from napari_restore.models.zoo import find_card\n"
        "files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "asked = Conversion(find_card('restormer-denoise-light'), (1, 1, 64, 64), 'float32', '1.2.3')\n"
        "keep_converted(asked, b'half of a network')\n"
    )
    for before in (None, b"a network"):
        if before:
            keep_converted(ASKED, before)
        assert subprocess.run([sys.executable, "-c", write], check=False).returncode == -signal.SIGKILL
        assert [path.suffix for path in folder.iterdir() if path.name.startswith(".")] == [".openvino"] * (
            1 + bool(before)
        )
        assert find_converted(ASKED) == (converted.Converted(before) if before else None)


def test_what_was_not_used_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    first, second, third = (Conversion(CARD, (1, 1, 64, width), "float32", "1.2.3") for width in (64, 72, 80))
    keep_converted(first, bytes(1000))
    keep_converted(second, bytes(1000))
    os.utime(second.path, (1, 1))
    os.utime(first.path, (0, 0))
    assert find_converted(first)  # which uses it
    monkeypatch.setattr(converted, "MOST_BYTES", 2 * ASKED_BYTES)
    keep_converted(third, bytes(1000))
    assert find_converted(first) and find_converted(third) and find_converted(second) is None


ASKED_BYTES = 2000
"""More than one of them takes, its line of JSON included, and less than one and a half."""


def test_without_a_place_to_keep_it_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path / "file"))
    keep_converted(ASKED, b"a network")
    assert "converts it again" in caplog.text and find_converted(ASKED) is None

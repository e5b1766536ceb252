from __future__ import annotations

from pathlib import Path

import pytest

from napari_restore.engine.hardware.machine_cache import cache_folder, networks_digest, processor


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path))
    assert cache_folder("speed") == tmp_path / "speed"
    monkeypatch.delenv("NAPARI_RESTORE_CACHE")
    assert cache_folder("speed").parts[-2:] == ("napari-restore", "speed")


def test_what_tells_machines_and_networks_apart() -> None:
    assert len(processor()) > 5 and "," in processor()
    assert len(networks_digest()) == 64

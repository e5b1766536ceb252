"""A worker is silent if its last heartbeat stays the same, whatever the scheduler's clock shows."""

from __future__ import annotations

import pytest

from napari_restore.engine.run.cluster import heartbeats
from napari_restore.engine.run.cluster.heartbeats import Heartbeats


def test_silent_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(heartbeats.time, "monotonic", lambda: now[0])
    watch = Heartbeats()
    assert watch.silent({"a": 5.0, "b": -7e9}) == set()
    now[0] = 14.0
    assert watch.silent({"a": 5.0, "b": -6e9}) == set()
    now[0] = 16.0
    assert watch.silent({"a": 5.0, "b": -6e9, "c": 1.0}) == {"a"}
    now[0] = 17.0
    assert watch.silent({"a": 5.1, "b": -6e9}) == set()  # it is back
    now[0] = 40.0
    assert watch.silent({"b": -6e9}) == {"b"}


def test_many_workers_send_fewer_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(heartbeats.time, "monotonic", lambda: now[0])
    watch, many = Heartbeats(), {str(number): 0.0 for number in range(2000)}
    watch.silent(many)
    now[0] = 109.0
    assert watch.silent(many) == set()
    now[0] = 111.0
    assert watch.silent(many) == set(many)

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.layers import Image

from napari_restore.widgets.jobs.compare.comparison import Comparison, History


def layer(name: str) -> Image:
    return Image(np.zeros((4, 5)), name=name)


def comparison(source: Image, *results: Image, model: str = "denoiser") -> Comparison:
    plan: Any = SimpleNamespace(card=SimpleNamespace(name=model))
    return Comparison(source, "YX", results, plan, (0, 0), label=model)


def test_the_latest_comes_first_and_names_are_told_apart() -> None:
    a, b = layer("a"), layer("b")
    history = History()
    every = [comparison(a, layer("1")), comparison(a, layer("2"), model="other"), comparison(a, layer("3")),
             comparison(b, layer("4"))]  # fmt: skip
    for each in every:
        history.add(each)
    assert list(history) == every[::-1]
    assert history.names() == ["b ▸ denoiser", "a ▸ denoiser 2", "a ▸ other", "a ▸ denoiser"]
    assert history.of(a) is every[2] and history.of(layer("a")) is None
    assert [result.name for result in history.results_of(a)] == ["3", "2", "1"]


def test_the_same_layers_are_listed_once() -> None:
    a, preview = layer("a"), layer("preview")
    history = History()
    history.add(comparison(a, preview))
    latest = comparison(a, preview, model="other")
    history.add(latest)
    assert list(history) == [latest]


def test_what_is_gone_is_forgotten() -> None:
    a, first, second = layer("a"), layer("1"), layer("2")
    history = History()
    channels = comparison(a, first, second)
    history.add(channels)
    history.prune([a, second])
    assert channels in history  # one of its channels is still to be seen
    history.prune([first, second])
    assert len(history) == 0 and history.names() == []

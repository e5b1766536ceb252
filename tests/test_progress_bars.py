from __future__ import annotations

import inspect
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_restore import api, progress_bars

IMAGE = np.random.default_rng(0).poisson(100, (64, 64)).astype(np.uint16)


class Terminal(io.StringIO):
    """A stand-in for standard error."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, checkpoints: dict[str, Path]) -> Any:
    """What a run prints to standard error."""

    def of_run(terminal: bool, delay: float = 0.0, **how: Any) -> str:
        for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(progress_bars, "_DELAY", delay)
        screen = Terminal(terminal)
        monkeypatch.setattr(sys, "stderr", screen)
        api.denoise(IMAGE, axes="YX", model=checkpoints["local"], device="cpu", **how)
        return screen.getvalue()

    return of_run


def test_a_terminal_shows_a_bar_by_default(shown: Any) -> None:
    told = shown(terminal=True)
    assert "restoring" in told and "100%" in told and "tiles" in told


def test_elsewhere_nothing_is_shown(shown: Any) -> None:
    assert shown(terminal=False) == ""


@pytest.mark.parametrize("how", [{"progress": False}, {"progress": None}, {"delay": 3600.0}])
def test_no_bar_is_shown_if_none_is_wanted_and_by_short_calls(shown: Any, how: dict[str, Any]) -> None:
    assert shown(terminal=True, **how) == ""


def test_a_function_of_the_caller_is_called_instead(shown: Any) -> None:
    events: list[Any] = []
    assert shown(terminal=True, progress=events.append) == ""
    assert events[-1].tiles_done == events[-1].tiles_total > 0


def test_a_bar_of_the_caller_stays(shown: Any) -> None:
    from rich.console import Console
    from rich.progress import Progress

    outer = Console(file=Terminal(True), force_terminal=True)
    with Progress(console=outer) as bar:
        task = bar.add_task("images", total=1)
        shown(terminal=True)
        bar.advance(task)
    assert "images" in outer.file.getvalue()  # type: ignore[attr-defined]


def test_every_long_call_shows_its_progress_by_default() -> None:
    functions = {name: getattr(api, name) for name in api.__all__ if inspect.isfunction(getattr(api, name))}
    signatures = {name: inspect.signature(function) for name, function in functions.items()}
    found = {name for name, signature in signatures.items() if "progress" in signature.parameters}
    assert found >= {"denoise", "super_resolve", "restore", "restore_batch", "adapt", "assess", "verify", "fetch"}
    assert all(signatures[name].parameters["progress"].default is True for name in found)


def of_run(done: int) -> Any:
    return SimpleNamespace(stage="restoring", steps=(done, 4), counts_tiles=True, tiles_per_second=2.0)


def of_batch(name: str, event: Any) -> Any:
    return SimpleNamespace(item=SimpleNamespace(name=name), total=2, event=event)


def of_adaptation(done: int) -> Any:
    return SimpleNamespace(done=done, total=0, latest=SimpleNamespace(loss=1.25, parent_loss=1.5))


@pytest.mark.parametrize(
    ("lines", "events", "words"),
    [
        (progress_bars.restoring, [(of_run(1),), (of_run(4),)], ("restoring", "4/4 tiles, 2.00/s")),
        (progress_bars.restoring_batch, [(of_batch("a", of_run(4)),), (of_batch("b", None),)], ("images", "4/4")),
        (progress_bars.adapting, [(of_adaptation(3),)], ("adapting", "loss 1.2500, unadapted 1.5000")),
        (progress_bars.counting("assessing"), [(1, 2), (2, 2)], ("assessing", "2/2 blocks")),
        (progress_bars.downloading("m"), [(10, None), (2_000_000, 4_000_000)], ("fetching m", "2.0 MB", "50%")),
    ],
)  # fmt: skip
def test_each_kind_of_events_has_its_words(lines: Any, events: list[Any], words: tuple[str, ...]) -> None:
    from rich.console import Console

    screen = io.StringIO()
    bar = progress_bars.Bar(Console(file=screen, force_terminal=True, width=120, color_system=None))
    show = lines(bar)
    for event in events:
        show(*event)
    bar.close()
    for word in words:
        assert word in screen.getvalue(), (word, screen.getvalue())


CELL = """
import time
from types import SimpleNamespace
from napari_restore import progress_bars
progress_bars._DELAY = 0
with progress_bars.following(True, progress_bars.restoring) as follow:
    for done in range(5):
        follow(SimpleNamespace(stage="restoring", steps=(done, 4), counts_tiles=True, tiles_per_second=1.0))
        time.sleep(0.1)
"""


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Any:
    manager = pytest.importorskip("jupyter_client.manager", reason="a notebook needs ipykernel")
    pytest.importorskip("ipykernel", reason="a notebook needs ipykernel")
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    kernel.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore")  # of Jupyter, about its event loop and its sockets
def test_a_notebook_shows_one_bar_that_changes(kernel: Any) -> None:
    messages: list[tuple[str, Any]] = []
    reply = kernel.execute_interactive(
        CELL, timeout=120, output_hook=lambda m: messages.append((m["msg_type"], m["content"]))
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    kinds = [kind for kind, _ in messages if kind in ("display_data", "update_display_data", "stream", "error")]
    assert kinds[0] == "display_data" and set(kinds[1:]) == {"update_display_data"}
    last = messages[-2][1] if messages[-1][0] == "status" else messages[-1][1]
    assert "4/4 tiles" in last["data"]["text/html"]

"""A server that becomes slow, or stops sending, in the middle of a run."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.faults import trials

if TYPE_CHECKING:
    from benchmarks.faults.campaign import Campaign, Row

__all__ = ["serving", "slow_servers"]

SECONDS = 30.0
"""Longest time of a run that ends with the error, with limits of one second."""


@contextmanager
def serving(folder: Path, quick: int, rate: float) -> Iterator[str]:
    """Serve a folder from another process; yield its URL.

    Parameters
    ----------
    folder : Path
        The folder.
    quick : int
        Number of chunks that are sent at once; metadata always are.
    rate : float
        Bytes per second of all later chunks; 0 for none at all.
    """
    note = folder / f"port-{time.monotonic_ns()}"
    child = trials.fork(lambda: _serve(folder, note, quick, rate))
    try:
        while not note.exists():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{note.read_text()}"
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.result()
        note.unlink(missing_ok=True)


def _serve(folder: Path, note: Path, quick: int, rate: float) -> None:
    asked, never = itertools.count(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = folder / self.path.lstrip("/")
            content = path.read_bytes() if path.is_file() else b""
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if "/c/" not in self.path or next(asked) < quick:
                self.wfile.write(content)
                return
            for byte in content:
                never.wait(1 / rate if rate else None)
                self.wfile.write(bytes([byte]))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fresh = note.with_suffix(".new")
    fresh.write_text(str(server.server_port))
    fresh.rename(note)
    server.serve_forever()


def slow_servers(todo: Campaign, row: Row, count: int) -> None:
    """Restore from a server that becomes slow at a random chunk; then from one that does not, to the end."""
    for number in range(count):
        room, quick, rate = todo.room(), todo.dice.randrange(40), number % 2
        settings: dict[str, Any] = {"on_error": ("raise", "fill")[number // 2 % 2]}

        def restored(url: str, limit: float, room: Path = room, settings: dict[str, Any] = settings) -> None:
            from napari_restore.images.guards import slow_servers

            trials.short_waits()
            slow_servers.START = slow_servers.LONGEST = limit
            trials.restore(todo.folder, room / "out.zarr", source=f"{url}/source.zarr", **settings)

        with serving(todo.folder, quick, rate) as url:
            began = time.monotonic()
            kind, value = trials.fork(lambda url=url, run=restored: run(url, 1.0)).result()  # type: ignore[misc]
            took = time.monotonic() - began
        told = kind == "RestoreError" and value[0] == "SourceTooSlow"
        row.add(trials=1, interrupted=told, found=told, hangs=kind == "hang" or took > SECONDS, silent=kind == "done")
        if not told:
            row.notes.append(f"{quick} chunks, then {rate} bytes/s: {kind} {value} after {took:.0f} s")
        with serving(todo.folder, 1 << 30, 1) as url:
            kind, value = trials.fork(lambda url=url, run=restored: run(url, 30.0)).result()  # type: ignore[misc]
        same = trials.pixels(trials.files(room / "out.zarr")) == trials.pixels(todo.whole)
        row.add(healed=kind == "done" and same, wrong=kind != "done" or not same)
        if kind != "done":
            row.notes.append(f"not resumed: {kind} {value}")
        shutil.rmtree(room)

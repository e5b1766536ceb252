"""A server that sends a byte a second does not keep a run waiting for days."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_restore.engine.planning.reading import with_retries
from napari_restore.errors import SourceTooSlow
from napari_restore.images.guards import slow_servers
from napari_restore.images.opening import open_image

ALL = (slice(None),) * 2


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A Zarr behind a server, which sends the objects whose name has `slow` in it byte by byte, or never ends them."""
    pytest.importorskip("aiohttp", reason="needs the http file system of fsspec")
    pixels = np.random.default_rng(0).poisson(100, (32, 64)).astype(np.uint16)
    array = zarr.create_array(tmp_path / "a.zarr", shape=(32, 64), dtype="u2", chunks=(32, 32), dimension_names="yx")
    array[:] = pixels
    state: dict[str, Any] = {"slow": "none", "pixels": pixels, "asked": [], "pause": 1.0, "end": threading.Event()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = tmp_path / self.path.lstrip("/")
            state["asked"].append(self.path)
            content = path.read_bytes() if path.is_file() else b""
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                for at in range(0, len(content), 1 if state["slow"] in self.path else len(content)):
                    self.wfile.write(content[at : at + 1] if state["slow"] in self.path else content)
                    if state["slow"] in self.path and state["end"].wait(state["pause"]):
                        return
            except OSError:  # the client has gone
                pass

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    here = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=here.serve_forever, daemon=True).start()
    monkeypatch.setattr(slow_servers, "START", 0.5)
    state["url"] = f"http://127.0.0.1:{here.server_port}/a.zarr"
    yield state
    state["end"].set()
    here.shutdown()
    here.server_close()


def test_a_byte_a_second(server: dict[str, Any]) -> None:
    image = open_image(server["url"])
    np.testing.assert_array_equal(image.read(ALL), server["pixels"])
    server["slow"], server["asked"] = "c/0/1", []
    with pytest.raises(SourceTooSlow, match=r"a\.zarr/c/0/1 has not arrived within .* run the same again"):
        with_retries(image, "fill", (0.0,)).read(ALL)  # a slow chunk is not a damaged one: nothing is filled
    assert sum("c/0/1" in path for path in server["asked"]) <= 3  # and it is not asked for again and again
    server["slow"] = "none"
    np.testing.assert_array_equal(image.read(ALL), server["pixels"])


def test_metadata_that_never_arrive(server: dict[str, Any]) -> None:
    server["slow"] = "zarr.json"
    with pytest.raises(SourceTooSlow, match=r"zarr\.json has not arrived"):
        open_image(server["url"])


def test_a_large_object_has_longer(server: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_servers, "SLOWEST", 100)
    server["slow"], server["pause"] = "c/0/1", 0.001
    np.testing.assert_array_equal(open_image(server["url"]).read(ALL), server["pixels"])

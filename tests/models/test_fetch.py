from __future__ import annotations

import contextlib
import hashlib
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from napari_restore.errors import ModelError
from napari_restore.models import fetch as fetching
from napari_restore.models.card import ModelCard
from napari_restore.models.checkpoint import read_state_dict
from napari_restore.models.fetch import fetch, pin_path, pinned_digest
from napari_restore.models.zoo import find_card, load_weights, local_card, weights_path, weights_state

FILE = "tiny_denoiser.pth"


class Server:
    """A release page on this machine. `cut` ends each connection after so many bytes."""

    def __init__(self) -> None:
        self.content, self.cut, self.version, self.ranges = b"", 0, '"1"', True
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server.asked.append(self.headers["Range"])
                if self.path != f"/{FILE}":
                    self.send_error(404)
                    return
                start, wanted = 0, self.headers["Range"]
                same = self.headers["If-Range"] in (None, server.version)
                if server.ranges and wanted is not None and same:
                    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                    if start >= len(server.content):
                        self.send_error(416)
                        return
                    self.send_response(206)
                else:
                    self.send_response(200)
                rest = server.content[start:]
                self.send_header("Content-Length", str(len(rest)))
                if server.version:
                    self.send_header("ETag", server.version)
                self.end_headers()
                self.wfile.write(rest[: server.cut] if server.cut else rest)
                self.close_connection = True

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv("NAPARI_RESTORE_MIRROR", server.url)
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    monkeypatch.setattr(fetching, "_CHUNK", 1000)
    monkeypatch.setenv("NAPARI_RESTORE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def content(checkpoints: dict[str, Path], tmp_path: Path) -> bytes:
    torch.save({"params": read_state_dict(checkpoints["denoiser"])}, tmp_path / "published.pth")
    return (tmp_path / "published.pth").read_bytes()


@pytest.fixture
def unknown(checkpoints: dict[str, Path]) -> ModelCard:
    """A published model whose digest is not known."""
    update = {"name": "tiny", "weights": FILE, "url": f"https://example.org/{FILE}", "sha256": "", "licence": "MIT"}
    return find_card(checkpoints["denoiser"]).model_copy(update=update)


@pytest.fixture
def known(unknown: ModelCard, content: bytes) -> ModelCard:
    return unknown.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})


def test_a_file_is_fetched_once(server: Server, folder: Path, content: bytes, known: ModelCard) -> None:
    server.content = content
    seen: list[tuple[int, int | None]] = []
    assert weights_state(known) == "will download"
    assert fetch(known, lambda *now: seen.append(now)) == known
    assert weights_path(known).read_bytes() == content and weights_state(known) == "downloaded"
    assert seen[-1] == (len(content), len(content))
    load_weights(known)
    assert server.asked == [None]
    assert files(folder) == [FILE]


def test_processes_that_want_the_same_file_fetch_it_once(
    server: Server, folder: Path, content: bytes, known: ModelCard
) -> None:
    server.content = content
    code = "import sys; from napari_restore.models import fetch, card; "
    code += "fetch.fetch(card.ModelCard.model_validate_json(sys.argv[1]))"
    command = [sys.executable, "-c", code, known.model_dump_json()]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    outcomes = [(process.communicate()[1].count("is fetched from"), process.returncode) for process in started]
    assert sorted(outcomes) == [(0, 0), (0, 0), (1, 0)]
    assert server.asked == [None] and files(folder) == [FILE]


def test_loading_fetches(server: Server, folder: Path, content: bytes, known: ModelCard) -> None:
    server.content = content
    assert load_weights(known).training is False


def test_the_licence_is_shown_before_the_first_byte(
    server: Server, folder: Path, content: bytes, known: ModelCard, caplog: pytest.LogCaptureFixture
) -> None:
    server.content = b"another file"
    with pytest.raises(ModelError), caplog.at_level(logging.WARNING):
        fetch(known)
    assert "under: MIT" in caplog.text and known.url is not None and known.url in caplog.text


def test_a_broken_connection_is_continued(server: Server, folder: Path, content: bytes, known: ModelCard) -> None:
    server.content, server.cut = content, len(content) // 4
    fetch(known)
    assert weights_path(known).read_bytes() == content
    starts = [0 if wanted is None else int(wanted[6:-1]) for wanted in server.asked]
    assert starts == sorted(set(starts)) and len(starts) in (4, 5)


def test_the_next_call_goes_on_where_the_last_one_ended(
    server: Server, folder: Path, content: bytes, known: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content, server.cut = content, len(content) // 3
    monkeypatch.setattr(fetching, "_ATTEMPTS", 1)
    with pytest.raises(ModelError, match="broke off"):
        fetch(known)
    assert not weights_path(known).exists()
    server.cut = 0
    fetch(known)
    assert server.asked == [None, f"bytes={len(content) // 3}-"]
    assert weights_path(known).read_bytes() == content
    assert files(folder) == [FILE]


def test_a_file_that_has_changed_meanwhile_begins_anew(
    server: Server, folder: Path, content: bytes, unknown: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content, server.cut = bytes(len(content)), len(content) // 2
    monkeypatch.setattr(fetching, "_ATTEMPTS", 1)
    with pytest.raises(ModelError):
        fetch(unknown)
    server.content, server.cut, server.version = content, 0, '"2"'
    fetch(unknown)
    assert weights_path(unknown).read_bytes() == content


@pytest.mark.parametrize("version", ["", '"1"'])
def test_a_server_without_ranges(
    server: Server, folder: Path, content: bytes, unknown: ModelCard, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content, server.cut, server.version, server.ranges = content, len(content) // 2, version, False
    with pytest.raises(ModelError, match="broke off"):
        fetch(unknown)
    assert len(server.asked) == 4  # one that got somewhere and three in vain
    server.cut = 0
    fetch(unknown)
    assert weights_path(unknown).read_bytes() == content


def test_a_partial_file_longer_than_the_real_one(
    server: Server, folder: Path, content: bytes, known: ModelCard
) -> None:
    folder.mkdir()
    (folder / f"{FILE}.partial").write_bytes(bytes(len(content) + 1))
    server.content = content
    fetch(known)
    assert weights_path(known).read_bytes() == content


def test_a_wrong_file_is_refused_and_removed(server: Server, folder: Path, content: bytes, known: ModelCard) -> None:
    server.content = content[:-1] + b"!"
    with pytest.raises(ModelError, match=r"is not the file of tiny.*removed.*put tiny_denoiser\.pth"):
        fetch(known)
    assert files(folder) == []


def test_an_unknown_digest_is_pinned_on_first_use(
    server: Server, folder: Path, content: bytes, unknown: ModelCard, known: ModelCard
) -> None:
    assert weights_state(unknown) == "will download, pinned on first use"
    server.content = content
    card = fetch(unknown)
    assert card.pinned and card.sha256 == known.sha256 == pinned_digest(weights_path(unknown))
    assert weights_state(card) == "downloaded, pinned"
    weights_path(card).unlink()
    server.content = content + b"!"  # another file, that could well load
    with pytest.raises(ModelError, match="removed"):
        fetch(unknown)
    weights_path(card).write_bytes(content + b"!")
    with pytest.raises(ModelError, match="digest"):
        load_weights(unknown)


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b""])
def test_a_login_page_is_not_pinned(server: Server, folder: Path, unknown: ModelCard, page: bytes) -> None:
    server.content = page
    with pytest.raises(ModelError, match="it was removed"):
        fetch(unknown)
    assert files(folder) == []


@pytest.mark.parametrize("pin", ["", "abc", "\n", "\xff\xfe", 64 * "z"])
def test_a_note_that_is_damaged_is_told(
    server: Server, folder: Path, content: bytes, unknown: ModelCard, pin: str
) -> None:
    server.content = content
    fetch(unknown)
    pin_path(folder / FILE).write_bytes(pin.encode("latin1"))
    with pytest.raises(ModelError, match=r"does not hold the digest that was recorded .* remove both"):
        fetch(unknown)
    for path in (folder / FILE, pin_path(folder / FILE)):
        path.unlink()
    assert fetch(unknown).pinned


def test_a_file_that_does_not_end_is_given_up(
    server: Server, folder: Path, content: bytes, known: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = content
    monkeypatch.setattr(fetching, "_most_bytes", lambda card: 5000)
    with pytest.raises(ModelError, match="sends more than 5000 bytes"):
        fetch(known)
    assert files(folder) == []


def test_links_in_the_cache_are_not_written_through(
    server: Server, folder: Path, content: bytes, known: ModelCard, tmp_path: Path
) -> None:
    precious = tmp_path / "thesis"
    precious.write_text("precious")
    folder.mkdir()
    for name in (f"{FILE}.partial", f"{FILE}.partial.etag"):
        (folder / name).symlink_to(precious)
    server.content = content
    fetch(known)
    assert precious.read_text() == "precious" and (folder / FILE).read_bytes() == content


def test_weights_of_another_network_are_not_pinned(
    server: Server, folder: Path, unknown: ModelCard, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    torch.save(read_state_dict(checkpoints["local"]), tmp_path / "other.pth")
    server.content = (tmp_path / "other.pth").read_bytes()
    with pytest.raises(ModelError, match="does not fit"):
        fetch(unknown)
    assert not pin_path(folder / FILE).exists() and not (folder / FILE).exists()


def test_a_file_put_there_by_hand(folder: Path, content: bytes, unknown: ModelCard) -> None:
    folder.mkdir()
    (folder / FILE).write_bytes(content)
    assert local_card(unknown).pinned
    pin_path(folder / FILE).unlink()
    (folder / FILE).write_bytes(b"no weights")
    with pytest.raises(ModelError, match="remove it"):
        local_card(unknown)
    assert (folder / FILE).exists()


def test_a_folder_as_a_mirror(
    folder: Path, content: bytes, known: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_RESTORE_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(ModelError, match=r"mirror.*NAPARI_RESTORE_MIRROR may name"):
        fetch(known)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / FILE).write_bytes(content)
    fetch(known)
    assert weights_path(known).read_bytes() == content


def test_a_file_that_is_not_there(server: Server, folder: Path, known: ModelCard) -> None:
    with pytest.raises(ModelError, match=r"127\.0\.0\.1 answers 404 Not Found"):
        fetch(known.model_copy(update={"weights": "gone.pth"}))


def test_no_network(folder: Path, known: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.setenv("NAPARI_RESTORE_MIRROR", f"http://127.0.0.1:{port}")
    with pytest.raises(ModelError, match=r"no connection to 127.*put tiny_denoiser\.pth .*into .*, or pass its path"):
        fetch(known)


def test_a_server_that_does_not_answer(folder: Path, known: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", (0.2, 0.2))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setenv("NAPARI_RESTORE_MIRROR", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(ModelError, match=r"127\.0\.0\.1 does not answer"):
            fetch(known)


@pytest.mark.parametrize(
    ("length", "trickles", "said"),
    [
        ("1000", False, "does not answer|broke off"),
        ("-5", False, "sends '-5' as the length of the file"),
        ("100000", True, "sends less than 1.0 kB a second; the part that has arrived is kept"),
    ],
)
def test_a_server_that_stops_in_the_middle(
    folder: Path, known: ModelCard, monkeypatch: pytest.MonkeyPatch, length: str, trickles: bool, said: str
) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", (10.0, 15.0) if trickles else (0.2, 0.2))
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    Stalling.ends, Stalling.length, Stalling.trickles = threading.Event(), length, trickles
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stalling)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("NAPARI_RESTORE_MIRROR", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(ModelError, match=f"not fetched: .*({said})"):
            fetch(known)
        assert not trickles or any(name.endswith(".partial") for name in files(folder))
    finally:
        Stalling.ends.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Stalling(BaseHTTPRequestHandler):
    ends: ClassVar[threading.Event]
    length: ClassVar[str]
    trickles: ClassVar[bool]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", self.length)
        self.end_headers()
        self.wfile.write(b"ten bytes.")
        self.wfile.flush()
        with contextlib.suppress(OSError):  # the client has given up
            while self.trickles and not self.ends.wait(0.01):
                self.wfile.write(b".")
        self.ends.wait(10)


def test_a_folder_that_cannot_be_written(
    folder: Path, content: bytes, known: ModelCard, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_text("a file is in the way")
    with pytest.raises(ModelError, match="not fetched"):
        fetch(known)


def test_a_file_of_the_users_own_is_not_fetched(checkpoints: dict[str, Path]) -> None:
    card = find_card(checkpoints["denoiser"])
    assert local_card(card) is card
    with pytest.raises(ModelError, match="not published"):
        fetching.origin(card)

"""Fetch published weights to the user's cache, verify them, and resume interrupted downloads.

Environment
-----------
``NAPARI_RESTORE_MODELS``
    Folder of fetched weights; by default the user's cache.
``NAPARI_RESTORE_MIRROR``
    Base URL or folder of the files under their official names; by default the release pages.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from napari_restore.errors import ModelError
from napari_restore.files import is_link, is_plain, open_own, rename, write_whole
from napari_restore.models.card import ModelCard
from napari_restore.ways_out import WayOut
from napari_restore.wording import human_bytes

__all__ = ["Progress", "fetch", "models_folder", "origin", "pin_path", "pinned_digest"]

Progress = Callable[[int, int | None], None]
"""Callback with the number of bytes received and in all; the latter is None if the server does not report it."""

TIMEOUT = (10.0, 15.0)
"""Timeouts of a connection, and of the next bytes, in seconds."""
SLOWEST = 1000
"""Bytes per second that a server has to send; at less, the smallest published file would take hours."""
PATIENCE = 30.0
"""Seconds over which this is measured."""
PAUSE = 1.0
"""Seconds to wait after a broken connection, times the number of attempts since the last progress."""
_ATTEMPTS_WITHOUT_PROGRESS = 3
_ATTEMPTS = 30
_CHUNK = 2**16  # bytes that are read at once, at most

_log = logging.getLogger(__name__)
_fetching = threading.RLock()


class _Broken(Exception):
    """A connection failed or broke off; another attempt may succeed."""


class _Unusable(Exception):
    """A server sends more bytes than the file can have, or too few of them a second; another attempt would be alike."""


def models_folder() -> Path:
    """Return the folder of fetched weights."""
    chosen = os.environ.get("NAPARI_RESTORE_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("napari-restore")) / "models"


def origin(card: ModelCard) -> str:
    """Return the URL that a published file is fetched from, or its path in the folder named as a mirror."""
    if card.url is None:
        raise ModelError(f"{card.name} is not published anywhere; give the path of its file.")
    mirror = os.environ.get("NAPARI_RESTORE_MIRROR")
    if not mirror:
        return card.url
    return f"{mirror.rstrip('/')}/{card.weights}" if "://" in mirror else str(Path(mirror).expanduser() / card.weights)


def pin_path(weights: Path) -> Path:
    """Return the file that holds the pinned digest of weights whose digest was not published."""
    return weights.with_name(f"{weights.name}.sha256")


def pinned_digest(weights: Path) -> str | None:
    """Read the SHA-256 of the first file that was fetched under this name; None if there was none yet.

    Raises
    ------
    ModelError
        If the record is damaged.
    """
    try:
        content = pin_path(weights).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    if found := re.match(r"[0-9a-f]{64}\b", content):
        return found[0]
    raise ModelError(
        f"{pin_path(weights)} does not hold the digest that was recorded for {weights.name}; remove both files, and "
        "the weights are fetched again."
    )


def fetch(card: ModelCard, progress: Progress | None = None) -> ModelCard:
    """Fetch the weights of a published model to the cache, unless they are there.

    Parameters
    ----------
    card : ModelCard
        Card of a published model.
    progress : callable, optional
        Called with the bytes received and in all during the download, see `Progress`.

    Returns
    -------
    ModelCard
        The card with the digest of the file.

    Raises
    ------
    ModelError
        If the file cannot be fetched, has another digest than the card, or is not a checkpoint of this network. A wrong
        file is removed; the part that a broken connection leaves is kept, and the next call resumes from there.

    Notes
    -----
    The licence is logged, at level WARNING so that users see it, before the download starts. A file whose digest was
    not published must fit the network; its digest is then recorded beside it and verified from then on.
    """
    path = models_folder() / card.weights
    if path.is_file() and (card.sha256 or pinned_digest(path)):
        return _pinned(card, pinned_digest(path))
    with _alone(card, path):
        here = path.is_file()  # another process may have fetched it while this one waited
        if not here:
            _log.warning("%s", card.licence_notice())
            _retrieve(card, path, progress)
        if card.sha256:
            return card
        return _pinned(card, pinned_digest(path) or _pin(card, path, remove=not here))


def _pinned(card: ModelCard, digest: str | None) -> ModelCard:
    return card if card.sha256 else card.model_copy(update={"sha256": digest, "pinned": True})


@contextmanager
def _alone(card: ModelCard, path: Path) -> Iterator[None]:
    """Allow one thread of one process at a time to fetch, on all machines that share the folder."""
    from filelock import FileLock

    with _fetching:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if is_link(path.parent / ".lock"):
                raise OSError(f"{path.parent / '.lock'} is a link and not a lock; remove it")
            lock = FileLock(path.parent / ".lock")
            lock.acquire()
        except OSError as error:
            raise ModelError(f"{card.name} was not fetched: {error}", _way_out(card, path)) from error
        try:
            yield
        finally:
            lock.release()


def _retrieve(card: ModelCard, path: Path, progress: Progress | None) -> None:
    """Download to the cache; the file gets its name when it is complete and its digest is verified."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # at INFO it logs each step, and advice on pinning that does not apply
    source = origin(card)
    known = card.sha256 or pinned_digest(path)

    def download(url: str, output: Any, _: Any) -> None:
        partial = path.with_name(f"{path.name}.partial")
        if "://" in url:
            _download(url, partial, progress, checked=known is not None, most=_most_bytes(card))
        else:
            with open(url, "rb") as source, open_own(partial) as target:
                shutil.copyfileobj(source, target)
        rename(partial, Path(output))
        _validator(partial).unlink(missing_ok=True)

    try:
        pooch.retrieve(source, known_hash=known, fname=path.name, path=path.parent, downloader=download)
    except (_Broken, _Unusable) as error:
        raise ModelError(f"{card.name} was not fetched: {error}", _way_out(card, path)) from error
    except ValueError as error:  # of pooch, for a wrong hash; pooch has removed the file
        raise ModelError(
            f"{source} is not the file of {card.name}: its digest is not {known}; it was removed. "
            "The mirror may be damaged or out of date",
            _way_out(card, path),
        ) from error
    except OSError as error:
        raise ModelError(f"{card.name} was not fetched from {source}: {error}", _way_out(card, path)) from error


def _way_out(card: ModelCard, path: Path) -> WayOut:
    mirror = "; NAPARI_RESTORE_MIRROR may name a folder or a URL that has it."
    takes = (
        "pass its path as the model",
        "pass its path as the model",
        "choose it under Your file in the list of models",
    )
    return WayOut(*(take + mirror for take in takes)).after(
        f"without a network put {card.weights} ({card.url}) into {path.parent}, or "
    )


def _pin(card: ModelCard, path: Path, *, remove: bool) -> str:
    """Record the digest of a file that fits the network, which excludes a login page, for example."""
    from napari_restore.models.checkpoint import file_digest, load_network

    try:
        load_network(path, (card.architecture, card.hyperparameters))
    except ModelError as error:
        if remove:
            path.unlink()
        removed = "it was removed" if remove else "remove it"
        raise ModelError.around(f"{path.name} is not the file of {card.name}; {removed}", error) from error
    digest = file_digest(path)
    write_whole(pin_path(path), f"{digest}  {path.name}\n")
    return digest


def _validator(partial: Path) -> Path:
    """Return the file that holds the ETag of a partial file."""
    return partial.with_name(f"{partial.name}.etag")


def _most_bytes(card: ModelCard) -> int:
    """Return the largest plausible size of a file in bytes: with averages and optimiser state, all in float64."""
    return 16 * (card.parameters or 10**8) + 2**20


def _download(url: str, partial: Path, progress: Progress | None, *, checked: bool, most: int) -> None:
    """Download a file, and retry after broken connections while attempts make progress."""
    failed = 0  # attempts since the last progress
    for _ in range(_ATTEMPTS):
        before = partial.stat().st_size if partial.exists() else 0
        try:
            _append(url, partial, progress, checked=checked, most=most)
        except _Broken:
            failed = 0 if partial.exists() and partial.stat().st_size > before else failed + 1
            if failed == _ATTEMPTS_WITHOUT_PROGRESS:
                raise
            time.sleep(PAUSE * failed)
        else:
            return
    raise _Broken(f"the connection to {urlsplit(url).hostname} broke off {_ATTEMPTS} times")


def _append(url: str, partial: Path, progress: Progress | None, *, checked: bool, most: int) -> None:
    """Request the missing bytes of a file and append them.

    The server is asked for the rest of the same version only (If-Range). Without an ETag, and without a digest that
    would reveal a mixture of versions, the download starts again.
    """
    import requests
    import urllib3

    host = urlsplit(url).hostname
    mark = _validator(partial)
    begun = is_plain(partial) and (checked or is_plain(mark))
    have = partial.stat().st_size if begun else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if is_plain(mark):
            headers["If-Range"] = mark.read_text(encoding="ascii")
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                partial.unlink()
                raise _Broken(f"{host} does not send the rest of the file")
            answer.raise_for_status()
            if answer.status_code != requests.codes.partial_content:
                have = 0
            version = answer.headers.get("ETag", "")
            if version.startswith('"') and version.isascii():
                write_whole(mark, version)
            elif not have:
                mark.unlink(missing_ok=True)
            length = answer.headers.get("Content-Length")
            if length and not length.isdecimal():  # the end of the file is unknown, and would be waited for
                raise _Broken(f"{host} sends {length!r} as the length of the file")
            total = have + int(length) if length else None
            with open_own(partial, append=bool(have)) as stream:
                for chunk in _parts(answer.raw, str(host)):
                    have += stream.write(chunk)
                    if have > most:
                        break
                    if progress is not None:
                        progress(have, total)
            if have > most:
                for path in (partial, mark):
                    path.unlink(missing_ok=True)
                raise _Unusable(f"{host} sends more than {most} bytes, which no file of this network has")
            if total is not None and have != total:
                raise _Broken(f"the connection to {host} broke off after {have} of {total} bytes")
    except requests.HTTPError as error:
        raise _Broken(f"{host} answers {answer.status_code} {answer.reason}") from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _Broken(f"{host} does not answer") from error
    except requests.ConnectionError as error:
        raise _Broken(f"there is no connection to {host}, or it broke off") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _Broken(f"the connection to {host} broke off") from error


def _parts(answer: Any, host: str) -> Iterator[bytes]:
    """Yield the bytes of an answer (`urllib3.HTTPResponse`) as they arrive, while enough of them do."""
    began, received = time.monotonic(), 0
    while part := answer.read1(_CHUNK, decode_content=True):
        yield part
        received += len(part)
        seconds = time.monotonic() - began
        if seconds > PATIENCE:
            if received < SLOWEST * seconds:
                raise _Unusable(
                    f"{host} sends less than {human_bytes(SLOWEST)} a second; the part that has arrived is kept, "
                    "and the same call goes on from there"
                )
            began, received = time.monotonic(), 0

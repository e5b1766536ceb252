"""Getting published weights: into the user's cache, checked, and continued where a connection broke off.

Environment
-----------
``NAPARI_RESTORE_MODELS``
    Folder that weights are kept in; by default the user's cache.
``NAPARI_RESTORE_MIRROR``
    Base URL, or folder, that has the files under their official names; by default the release pages.
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
from napari_restore.files import is_link, is_plain, open_own, write_whole
from napari_restore.models.card import ModelCard

__all__ = ["Progress", "fetch", "models_folder", "origin", "pin_path", "pinned_digest"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and those in all, None where the server does not tell."""

TIMEOUT = (10.0, 30.0)
"""Seconds to wait for a connection, and for the next bytes."""
PAUSE = 1.0
"""Seconds before a broken connection is tried again, times the number of attempts in vain."""
_VAIN_ATTEMPTS = 3
_ATTEMPTS = 30
_CHUNK = 2**16  # what a broken connection loses at most

_log = logging.getLogger(__name__)
_fetching = threading.RLock()


class _Broken(Exception):
    """A connection failed or broke off; another attempt may get further."""


class _TooLarge(Exception):
    """A server sends something else, and does not end."""


def models_folder() -> Path:
    """Folder that fetched weights are kept in."""
    chosen = os.environ.get("NAPARI_RESTORE_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("napari-restore")) / "models"


def origin(card: ModelCard) -> str:
    """Where a published file is fetched from: a URL, or a path in the folder named as a mirror."""
    if card.url is None:
        raise ModelError(f"{card.name} is not published anywhere; give the path of its file.")
    mirror = os.environ.get("NAPARI_RESTORE_MIRROR")
    if not mirror:
        return card.url
    return f"{mirror.rstrip('/')}/{card.weights}" if "://" in mirror else str(Path(mirror).expanduser() / card.weights)


def pin_path(weights: Path) -> Path:
    """Where the digest of a file is noted whose digest was not known beforehand."""
    return weights.with_name(f"{weights.name}.sha256")


def pinned_digest(weights: Path) -> str | None:
    """SHA-256 of the first file that was fetched under this name; None where there was none yet.

    Raises
    ------
    ModelError
        If what was noted is damaged.
    """
    try:
        content = pin_path(weights).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    if found := re.match(r"[0-9a-f]{64}\b", content):
        return found[0]
    raise ModelError(
        f"{pin_path(weights)} does not hold the SHA-256 that was noted of {weights.name}; remove both, and the file is "
        "fetched again."
    )


def fetch(card: ModelCard, progress: Progress | None = None) -> ModelCard:
    """Make sure that the weights of a published model are in the cache.

    Parameters
    ----------
    card
        Of a published model.
    progress
        Called while bytes arrive.

    Returns
    -------
    ModelCard
        The card with the digest of the file, where it had none.

    Raises
    ------
    ModelError
        If the file cannot be had, is another one than the card says, or is no checkpoint of this network. A wrong
        file is removed; what a broken connection has left is kept, and the next call goes on from there.

    Notes
    -----
    The licence is logged, at level WARNING so that it is seen, before the first byte is asked for. A file whose
    digest is not known has to fit the network; then its digest is noted beside it and checked ever after.
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
    """Let one thread of one process fetch at a time, on this and on any machine that shares the folder."""
    from filelock import FileLock

    with _fetching:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if is_link(path.parent / ".lock"):
                raise OSError(f"{path.parent / '.lock'} is a link, and no lock; remove it")
            lock = FileLock(path.parent / ".lock")
            lock.acquire()
        except OSError as error:
            raise ModelError(f"{card.name} was not fetched: {error}; {_way_out(card, path)}") from error
        try:
            yield
        finally:
            lock.release()


def _retrieve(card: ModelCard, path: Path, progress: Progress | None) -> None:
    """Download to the cache; the file gets its name when it is whole and its digest is right."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would tell of each step, and how to pin what is pinned here anyway
    source = origin(card)
    known = card.sha256 or pinned_digest(path)

    def download(url: str, output: Any, _: Any) -> None:
        partial = path.with_name(f"{path.name}.partial")
        if "://" in url:
            _download(url, partial, progress, checked=known is not None, most=_most_bytes(card))
        else:
            with open(url, "rb") as source, open_own(partial) as target:
                shutil.copyfileobj(source, target)
        os.replace(partial, output)
        _validator(partial).unlink(missing_ok=True)

    try:
        pooch.retrieve(source, known_hash=known, fname=path.name, path=path.parent, downloader=download)
    except (_Broken, _TooLarge) as error:
        raise ModelError(f"{card.name} was not fetched: {error}; {_way_out(card, path)}") from error
    except ValueError as error:  # pooch's, about the hash; it has removed the file
        raise ModelError(
            f"{source} is not the file that {card.name} stands for: its SHA-256 is not {known}; it was removed. "
            f"The mirror may be damaged or out of date; {_way_out(card, path)}"
        ) from error
    except OSError as error:
        raise ModelError(f"{card.name} was not fetched from {source}: {error}; {_way_out(card, path)}") from error


def _way_out(card: ModelCard, path: Path) -> str:
    return (
        f"without a network put {card.weights} ({card.url}) into {path.parent}, or pass its path as the model; "
        "NAPARI_RESTORE_MIRROR may name a folder or a URL that has it."
    )


def _pin(card: ModelCard, path: Path, *, remove: bool) -> str:
    """Note the digest of a file that fits the network: a login page, say, does not."""
    from napari_restore.models.checkpoint import file_digest, load_network

    try:
        load_network(path, (card.architecture, card.hyperparameters))
    except ModelError as error:
        if remove:
            path.unlink()
        removed = "it was removed" if remove else "remove it"
        raise ModelError(f"{path.name} is not the file that {card.name} stands for; {removed}: {error}") from error
    digest = file_digest(path)
    write_whole(pin_path(path), f"{digest}  {path.name}\n")
    return digest


def _validator(partial: Path) -> Path:
    """Where the server's mark of the version is kept that a partial file belongs to."""
    return partial.with_name(f"{partial.name}.etag")


def _most_bytes(card: ModelCard) -> int:
    """Bytes that a file of these parameters has at most: with averages, an optimizer's state, and in float64."""
    return 16 * (card.parameters or 10**8) + 2**20


def _download(url: str, partial: Path, progress: Progress | None, *, checked: bool, most: int) -> None:
    """Download a file, and go on after broken connections for as long as each attempt gets further."""
    vain = 0
    for _ in range(_ATTEMPTS):
        before = partial.stat().st_size if partial.exists() else 0
        try:
            _append(url, partial, progress, checked=checked, most=most)
        except _Broken:
            vain = 0 if partial.exists() and partial.stat().st_size > before else vain + 1
            if vain == _VAIN_ATTEMPTS:
                raise
            time.sleep(PAUSE * vain)
        else:
            return
    raise _Broken(f"the connection to {urlsplit(url).hostname} broke off {_ATTEMPTS} times")


def _append(url: str, partial: Path, progress: Progress | None, *, checked: bool, most: int) -> None:
    """Ask for what is missing and append it.

    The server is asked to send the rest only of the version that the beginning is from. Where it has no mark of
    versions, and no digest would tell a mixture, the file begins anew.
    """
    import requests

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
                raise _Broken(f"{host} does not continue the file")
            answer.raise_for_status()
            if answer.status_code != requests.codes.partial_content:
                have = 0
            version = answer.headers.get("ETag", "")
            if version.startswith('"') and version.isascii():
                write_whole(mark, version)
            elif not have:
                mark.unlink(missing_ok=True)
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length and length.isdecimal() else None
            with open_own(partial, append=bool(have)) as stream:
                for chunk in answer.iter_content(_CHUNK):
                    have += stream.write(chunk)
                    if have > most:
                        break
                    if progress is not None:
                        progress(have, total)
            if have > most:
                for path in (partial, mark):
                    path.unlink(missing_ok=True)
                raise _TooLarge(f"{host} sends more than {most} bytes, which no file of this network has")
            if total is not None and have != total:
                raise _Broken(f"the connection to {host} broke off after {have} of {total} bytes")
    except requests.HTTPError as error:
        raise _Broken(f"{host} answers {answer.status_code} {answer.reason}") from error
    except requests.Timeout as error:
        raise _Broken(f"{host} does not answer") from error
    except requests.ConnectionError as error:
        raise _Broken(f"there is no connection to {host}, or it broke off") from error
    except requests.RequestException as error:
        raise _Broken(f"the connection to {host} broke off") from error

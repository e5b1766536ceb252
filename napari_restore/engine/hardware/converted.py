"""Cache of networks that were converted for OpenVINO, on this machine.

A file has a line of JSON (the key of the conversion, and the digest of the network or the reason why it must not be
used), followed by the compiled network that OpenVINO exports. It is written whole or not at all: a killed process
leaves no partial file, and two processes can convert at the same time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_restore.engine.hardware.machine_cache import cache_folder, networks_digest, processor
from napari_restore.files import write_whole
from napari_restore.fingerprint import digest
from napari_restore.models.card import ModelCard

__all__ = ["MOST_BYTES", "Conversion", "Converted", "find_converted", "keep_converted", "refuse"]

MOST_BYTES = 2 * 10**9
"""Largest size of the cache in bytes; the least recently used networks are deleted."""
_FORMAT = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conversion:
    """Everything that a converted network depends on, besides the machine.

    Attributes
    ----------
    card : ModelCard
        Card of the model.
    shape : tuple of int
        Shape of a batch: ``(b, channels, height, width)``.
    precision : {"float32", "bfloat16"}
        Precision of the network.
    version : str
        Version of OpenVINO.
    """

    card: ModelCard
    shape: tuple[int, ...]
    precision: str
    version: str

    def key(self) -> dict[str, Any]:
        """Return everything that the file depends on, as JSON types."""
        return {
            "format": _FORMAT, "sha256": self.card.sha256, "architecture": self.card.architecture,
            "hyperparameters": self.card.model_dump(mode="json")["hyperparameters"], "shape": list(self.shape),
            "precision": self.precision, "openvino": self.version, "networks": networks_digest(),
            "processor": processor(),
        }  # fmt: skip

    @property
    def path(self) -> Path:
        """Path of the file, which need not exist."""
        size = "x".join(map(str, self.shape))
        return cache_folder("converted") / f"{self.card.sha256[:12]}-{size}-{digest(self.key())[:16]}.openvino"


@dataclass(frozen=True)
class Converted:
    """A network that was converted before.

    Attributes
    ----------
    content : bytes
        Compiled network that OpenVINO imports; empty if it must not be used.
    refused : str
        Reason why it must not be used; empty if it may.
    """

    content: bytes
    refused: str = ""


def find_converted(conversion: Conversion, *, whole: bool = True) -> Converted | None:
    """Find a converted network in the cache.

    Parameters
    ----------
    conversion : Conversion
        The conversion.
    whole : bool
        Whether to read and check the network too. Otherwise only the first line is read, and `content` is empty.

    Returns
    -------
    Converted or None
        The network; None if there is none, or the file is damaged.
    """
    try:
        with open(conversion.path, "rb") as file:
            said = json.loads(file.readline())
            content = file.read() if whole else b""
        if said["key"] != conversion.key():
            return None
        if whole and hashlib.sha256(content).hexdigest() != said["sha256"]:
            _log.warning("%s is damaged, and the network is converted anew", conversion.path)
            return None
        if whole:
            os.utime(conversion.path)
        return Converted(content, str(said["refused"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot be read (%s), and the network is converted anew", conversion.path, error)
        return None


def keep_converted(conversion: Conversion, content: bytes) -> None:
    """Store a converted network whose result agrees with torch.

    Parameters
    ----------
    conversion : Conversion
        The conversion.
    content : bytes
        Compiled network that OpenVINO exports.
    """
    _write(conversion, content, "")


def refuse(conversion: Conversion, reason: str) -> None:
    """Store that a network cannot be used in OpenVINO, so that it is not converted again with this version.

    Parameters
    ----------
    conversion : Conversion
        The conversion.
    reason : str
        Why it cannot be used.
    """
    _write(conversion, b"", reason)


def _write(conversion: Conversion, content: bytes, refused: str) -> None:
    """Write the file. If there is no space or permission, the network is converted again next time."""
    said = {"key": conversion.key(), "sha256": hashlib.sha256(content).hexdigest(), "refused": refused}
    try:
        conversion.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(conversion.path, json.dumps(said).encode() + b"\n" + content)
        _make_room(conversion.path)
    except OSError as error:
        _log.warning("the converted network cannot be kept (%s); the next start converts it again", error)


def _make_room(newest: Path) -> None:
    """Delete the least recently used networks until the cache is small enough."""
    found = []
    for path in newest.parent.glob("*.openvino"):
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat().st_mtime, path.stat().st_size, path))
    taken = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if taken <= MOST_BYTES or path == newest:
            return
        path.unlink(missing_ok=True)
        taken -= size

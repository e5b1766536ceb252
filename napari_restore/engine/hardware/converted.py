"""Networks that were converted for OpenVINO, kept on this machine for the next start.

A file holds a line of JSON (what was converted, the digest of what follows, or why it is not to be used) and behind it
what OpenVINO gives of a compiled network. It is written whole or not at all, so a process that is killed leaves nothing
that could be taken for a network, and two that convert at the same time do not mind each other.
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

from napari_restore.engine.hardware.machine_cache import cache_folder, key_digest, networks_digest, processor
from napari_restore.files import write_whole
from napari_restore.models.card import ModelCard

__all__ = ["MOST_BYTES", "Conversion", "Converted", "find_converted", "keep_converted", "refuse"]

MOST_BYTES = 2 * 10**9
"""Bytes that converted networks may take; those that were not used for longest are deleted."""
_FORMAT = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conversion:
    """What a converted network depends on, besides the machine.

    Attributes
    ----------
    card
        Of the model.
    shape : tuple of int
        Of a batch: ``(b, channels, height, width)``.
    precision : {"float32", "bfloat16"}
        Of the network.
    version : str
        Of OpenVINO.
    """

    card: ModelCard
    shape: tuple[int, ...]
    precision: str
    version: str

    def key(self) -> dict[str, Any]:
        """Everything that the file depends on, as JSON types."""
        return {
            "format": _FORMAT, "sha256": self.card.sha256, "architecture": self.card.architecture,
            "hyperparameters": self.card.model_dump(mode="json")["hyperparameters"], "shape": list(self.shape),
            "precision": self.precision, "openvino": self.version, "networks": networks_digest(),
            "processor": processor(),
        }  # fmt: skip

    @property
    def path(self) -> Path:
        """Where its file is, or will be."""
        size = "x".join(map(str, self.shape))
        return cache_folder("converted") / f"{self.card.sha256[:12]}-{size}-{key_digest(self.key())[:16]}.openvino"


@dataclass(frozen=True)
class Converted:
    """A network that was converted before.

    Attributes
    ----------
    content : bytes
        What OpenVINO imports; empty where it must not be used.
    refused : str
        Why it must not be used; empty where it may.
    """

    content: bytes
    refused: str = ""


def find_converted(conversion: Conversion, *, whole: bool = True) -> Converted | None:
    """Look for a converted network; None where there is none, or where the file is damaged.

    Parameters
    ----------
    conversion
        What is looked for.
    whole
        Read and check the network as well; without it only its first line, and `content` is empty.
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
    """Keep a converted network that was found to agree with torch."""
    _write(conversion, content, "")


def refuse(conversion: Conversion, reason: str) -> None:
    """Keep that a network cannot be used converted, so that nobody tries again with this version of OpenVINO."""
    _write(conversion, b"", reason)


def _write(conversion: Conversion, content: bytes, refused: str) -> None:
    """Write the file; without room or rights for it, the network is converted again next time."""
    said = {"key": conversion.key(), "sha256": hashlib.sha256(content).hexdigest(), "refused": refused}
    try:
        conversion.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(conversion.path, json.dumps(said).encode() + b"\n" + content)
        _make_room(conversion.path)
    except OSError as error:
        _log.warning("the converted network cannot be kept (%s); the next start converts it again", error)


def _make_room(newest: Path) -> None:
    """Delete the networks that were not used for longest while all together are too large."""
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

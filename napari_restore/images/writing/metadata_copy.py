"""Keep two copies of the metadata of an image, to find and repair changes.

Pixels have checksums, but metadata have none, and a flipped bit in them changes the shape, the pixel size or the
recipe. So all metadata are stored in two copies with digests, as objects beside those of level 0 that Zarr ignores.
"""

from __future__ import annotations

__all__ = ["COPIES", "copied_metadata", "metadata_changes", "put_attributes", "repair_from_copies", "write_copy"]

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_restore.errors import OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.store import Place, place_of
from napari_restore.ways_out import REPLACE

COPIES = ("0/.metadata.json", "0/.metadata.copy.json")
"""Names of the copies; results of earlier versions have only the first."""
_MOST_DIFFERING = 8
"""Number of bytes in which two damaged copies may differ, so that all combinations are tried at once."""
_GROUP = ("zarr.json", ".zgroup", ".zattrs")
_ARRAY = ("zarr.json", ".zarray", ".zattrs")

Files = dict[str, dict[str, Any]]


def write_copy(path: str | Path, levels: int, stage: Stage | None = None) -> None:
    """Write the copies of the present metadata of an image.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    levels : int
        Number of its levels.
    stage : Stage, optional
        Stage through which an image on a disk is written.
    """
    place = place_of(path)
    raw = {name: content for name in _names(levels) if (content := place.get(name)) is not None}
    files = {name: parsed for name, content in raw.items() if (parsed := _parsed(content)) is not None}
    _set_copies(place, files, {name: _sha256(raw[name]) for name in files}, stage)


def _set_copies(place: Place, files: Files, raw: dict[str, str], stage: Stage | None) -> None:
    content = {"sha256": _digest(files), "raw_sha256": _digest(raw), "raw": raw, "files": files}
    for copy in COPIES:
        _set(place, copy, content, stage)


def _copies(place: Place) -> dict[str, bytes]:
    """Read the existing copies by their names, damaged ones included."""
    return {copy: raw for copy in COPIES if (raw := place.get(copy)) is not None}


def _sound(raw: bytes) -> dict[str, Any] | None:
    content = _parsed(raw)
    if content is None or not isinstance(content.get("files"), dict) or _text(content) != raw:
        return None
    whole = _digest(content["files"]) == content.get("sha256")
    return content if whole and ("raw" not in content or _digest(content["raw"]) == content.get("raw_sha256")) else None


def _right(copies: dict[str, bytes]) -> dict[str, Any] | None:
    """Return the content of an undamaged copy, or of two damaged ones together; None if there is none.

    Where two damaged copies differ, the byte of one of them is right, and the digests in them tell which.
    """
    return next(filter(None, map(_sound, itertools.chain(copies.values(), _joined(*copies.values())))), None)


def _joined(one: bytes = b"", other: bytes = b"") -> Iterator[bytes]:
    """Yield what two copies may have been, if they differ in few bytes."""
    differing = [index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    if len(one) != len(other) or len(differing) > _MOST_DIFFERING:
        return
    for chosen in itertools.product((one, other), repeat=len(differing)):
        joined = bytearray(one)
        for index, source in zip(differing, chosen, strict=True):
            joined[index] = source[index]
        yield bytes(joined)


def copied_metadata(path: str | Path) -> Files | None:
    """Read a copy of the metadata of an image.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.

    Returns
    -------
    dict of str to dict, or None
        JSON by the name of the file; None if there is no copy, or all copies are damaged.
    """
    copy = _right(_copies(place_of(path)))
    return None if copy is None else copy["files"]


def metadata_changes(path: str | Path) -> tuple[str, ...]:
    """Find the metadata of an image that have changed since they were written.

    Additions by other software, such as attributes, are not changes.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image. Without a copy, no change can be found.

    Returns
    -------
    tuple of str
        Names of the changed files, damaged copies included. If all copies are damaged, these are the copies, and what
        cannot be read.
    """
    place = place_of(path)
    copies = _copies(place)
    right = _right(copies)
    if right is None:
        return (*copies, *_unreadable(place)) if copies else ()
    expected = COPIES if "raw" in right else tuple(copies)
    changed = [copy for copy in expected if copy not in copies or _sound(copies[copy]) != right]
    for name, content in right["files"].items():
        raw = place.get(name)
        found = _parsed(raw)
        # A change of bytes but not of content, such as a capital in an escape; files rewritten by others are exempt.
        only_bytes = found == content and name in right.get("raw", {}) and _sha256(raw or b"") != right["raw"][name]
        if only_bytes or not _holds(name, found, content):
            changed.append(name)
    return tuple(changed)


def put_attributes(path: str | Path, attributes: dict[str, Any], stage: Stage | None = None) -> None:
    """Change attributes of an image; the copies are changed first, so that an interrupted change can be repeated.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image. An image whose metadata or copies cannot be read is not changed.
    attributes : dict
        New values, which replace those of the same names.
    stage : Stage, optional
        Stage through which an image on a disk is written.
    """
    place = place_of(path)
    name = ".zattrs" if place.get("zarr.json") is None else "zarr.json"
    content, copy = _parsed(place.get(name)), _right(_copies(place))
    if content is None or copy is None or name not in copy["files"]:
        return
    files, raw = copy["files"], copy.get("raw", {})
    for changed in (content, files[name]):
        (changed if name == ".zattrs" else changed["attributes"]).update(attributes)
    _set_copies(place, files, raw | {name: _sha256(_text(files[name]))}, stage)
    _set(place, name, content, stage)


def repair_from_copies(path: str | Path, stage: Stage | None = None) -> None:
    """Repair changed metadata from a copy; additions by other software are kept if they can be read.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    stage : Stage, optional
        Stage through which an image on a disk is written.

    Raises
    ------
    OutputError
        If all copies are damaged, and the metadata cannot be verified.
    """
    place = place_of(path)
    changes = metadata_changes(path)
    right = _right(_copies(place))
    if right is None:
        _check_against_damaged(place)
        write_copy(path, _levels(place), stage)
        return
    for name in changes:
        if name in COPIES:
            continue
        found, wanted = _parsed(place.get(name)) or {}, right["files"][name]
        mended = found | wanted if name.endswith(".zattrs") else dict(wanted)
        if isinstance(found.get("attributes"), dict) and "attributes" in wanted:
            mended["attributes"] = found["attributes"] | wanted["attributes"]
        _set(place, name, mended, stage)
    if set(changes) & set(COPIES):
        for copy in COPIES if "raw" in right else changes:
            _set(place, copy, right, stage)


def _levels(place: Place) -> int:
    return len([level for level in range(100) if any(place.get(f"{level}/{name}") for name in _ARRAY[:2])])


def _names(levels: int) -> list[str]:
    return [*_GROUP, *(f"{level}/{name}" for level in range(levels) for name in _ARRAY)]


def _unreadable(place: Place) -> list[str]:
    found = {name: place.get(name) for name in _names(_levels(place))}
    return [name for name, raw in found.items() if raw is not None and _parsed(raw) is None]


def _check_against_damaged(place: Place) -> None:
    """Raise OutputError unless a damaged copy confirms the metadata, by its digest or by its content."""
    found = {name: _parsed(place.get(name)) for name in _names(_levels(place))}
    there = {name: content for name, content in found.items() if content is not None}
    for raw in _copies(place).values():
        content = _parsed(raw) or {}
        if content.get("files") == there or _digest(there).encode() in re.findall(rb"[0-9a-f]{64}", raw):
            return
    raise OutputError(
        f"the metadata of {place.location} and all copies of them are damaged, and none confirms another; copy them or "
        f"{COPIES[0]} back from a backup, or compute the result again",
        REPLACE,
    )


def _holds(name: str, found: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
    """Check whether metadata are unchanged except for added attributes."""
    if found is None:
        return False
    if name.endswith(".zattrs"):
        return _within(wanted, found)
    free = ("attributes", "consolidated_metadata")
    plain_found, plain_wanted = ({k: v for k, v in content.items() if k not in free} for content in (found, wanted))
    return plain_found == plain_wanted and _within(wanted.get("attributes", {}), found.get("attributes", {}))


def _within(wanted: dict[str, Any], found: Any) -> bool:
    return isinstance(found, dict) and all(key in found and found[key] == value for key, value in wanted.items())


def _digest(files: Any) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _text(content: Any) -> bytes:
    """Write JSON as zarr does."""
    return json.dumps(content, indent=2).encode()


def _set(place: Place, name: str, content: Any, stage: Stage | None = None) -> None:
    place.put(name, _text(content), stage)


def _parsed(content: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(content) if content is not None else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

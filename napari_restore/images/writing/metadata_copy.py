"""Two copies of an image's metadata, by which a change is found, and mended.

Pixels have checksums. The metadata have none, and a bit that flips in them changes the shape, the scale or the recipe.
So all of them are kept twice more, with digests, in objects beside those of level 0, of which Zarr takes no notice.
"""

from __future__ import annotations

__all__ = ["COPIES", "copied_metadata", "mend_metadata", "metadata_changes", "put_attributes", "write_copy"]

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from napari_restore.errors import OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.store import Place, place_of

COPIES = ("0/.metadata.json", "0/.metadata.copy.json")
"""Where the copies lie; results of earlier versions have the first alone."""
_GROUP = ("zarr.json", ".zgroup", ".zattrs")
_ARRAY = ("zarr.json", ".zarray", ".zattrs")

Files = dict[str, dict[str, Any]]


def write_copy(path: str | Path, levels: int, stage: Stage | None = None) -> None:
    """Keep the metadata of an image twice more, as they are now.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    levels : int
        How many it has.
    stage : Stage, optional
        What an image in a local directory is written through.
    """
    place = place_of(path)
    names = [*_GROUP, *(f"{level}/{name}" for level in range(levels) for name in _ARRAY)]
    raw = {name: content for name in names if (content := place.get(name)) is not None}
    files = {name: parsed for name, content in raw.items() if (parsed := _parsed(content)) is not None}
    _set_copies(place, files, {name: _sha256(raw[name]) for name in files}, stage)


def _set_copies(place: Place, files: Files, raw: dict[str, str], stage: Stage | None) -> None:
    content = {"sha256": _digest(files), "raw_sha256": _digest(raw), "raw": raw, "files": files}
    for copy in COPIES:
        _set(place, copy, content, stage)


def _copies(place: Place) -> dict[str, dict[str, Any] | None]:
    """Read the copies there are, by their names; None for one that is not as it was written."""
    found = {copy: place.get(copy) for copy in COPIES}
    return {copy: _sound(content) for copy, content in found.items() if content is not None}


def _sound(raw: bytes) -> dict[str, Any] | None:
    content = _parsed(raw)
    if content is None or not isinstance(content.get("files"), dict) or _text(content) != raw:
        return None
    whole = _digest(content["files"]) == content.get("sha256")
    return content if whole and ("raw" not in content or _digest(content["raw"]) == content.get("raw_sha256")) else None


def copied_metadata(path: str | Path) -> Files | None:
    """Read the copies: JSON by the name of the file; None if there is none, or if they are damaged themselves."""
    copy = next(filter(None, _copies(place_of(path)).values()), None)
    return None if copy is None else copy["files"]


def metadata_changes(path: str | Path) -> tuple[str, ...]:
    """Name the metadata of an image that are not what was written.

    What others have added, such as attributes of their own, is no change.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image. One without a copy has nothing to be compared with.

    Returns
    -------
    tuple of str
        Names of files; those of the copies themselves, where they are damaged.
    """
    place = place_of(path)
    copies = _copies(place)
    right = next(filter(None, copies.values()), None)
    if right is None:
        return tuple(copies)
    expected = COPIES if "raw" in right else tuple(copies)
    changed = [copy for copy in expected if copies.get(copy) != right]
    for name, content in right["files"].items():
        raw = place.get(name)
        found = _parsed(raw)
        # A bit that says nothing, such as that of a capital in an escape; what others have written anew is theirs.
        mute = found == content and name in right.get("raw", {}) and _sha256(raw or b"") != right["raw"][name]
        if mute or not _holds(name, found, content):
            changed.append(name)
    return tuple(changed)


def put_attributes(path: str | Path, attributes: dict[str, Any], stage: Stage | None = None) -> None:
    """Change attributes of an image, and the copies first: interrupted in between, the same change can be made again.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image. One whose metadata or copies cannot be read is left as it is.
    attributes : dict
        What is put in place of those of the same names.
    stage : Stage, optional
        What an image in a local directory is written through.
    """
    place = place_of(path)
    name = ".zattrs" if place.get("zarr.json") is None else "zarr.json"
    content, copy = _parsed(place.get(name)), next(filter(None, _copies(place).values()), None)
    if content is None or copy is None or name not in copy["files"]:
        return
    files, raw = copy["files"], copy.get("raw", {})
    for changed in (content, files[name]):
        (changed if name == ".zattrs" else changed["attributes"]).update(attributes)
    _set_copies(place, files, raw | {name: _sha256(_text(files[name]))}, stage)
    _set(place, name, content, stage)


def mend_metadata(path: str | Path, stage: Stage | None = None) -> None:
    """Write back what was changed; what others have added stays, where it can be read.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    stage : Stage, optional
        What an image in a local directory is written through.

    Raises
    ------
    OutputError
        If all copies are damaged, and the metadata cannot be shown to be right.
    """
    place = place_of(path)
    changes = metadata_changes(path)
    right = next(filter(None, _copies(place).values()), None)
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


def _check_against_damaged(place: Place) -> None:
    """Take the metadata for right only if a damaged copy bears them out: by its digest, or by its content."""
    names = [*_GROUP, *(f"{level}/{name}" for level in range(_levels(place)) for name in _ARRAY)]
    there = {name: content for name in names if (content := _parsed(place.get(name))) is not None}
    for raw in filter(None, (place.get(copy) for copy in COPIES)):
        content = _parsed(raw) or {}
        if content.get("files") == there or _digest(there).encode() in re.findall(rb"[0-9a-f]{64}", raw):
            return
    raise OutputError(
        f"the metadata of {place.location} and all copies of them are damaged, and none shows another to be right; put "
        f"them or {COPIES[0]} back from a backup, or make the result anew with overwrite (--overwrite)."
    )


def _holds(name: str, found: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
    """Tell whether some metadata say what they said, with no more than attributes added."""
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

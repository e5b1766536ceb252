"""A second copy of an image's metadata, by which a change is found, and mended.

Pixels have checksums. The metadata have none, and a bit that flips in them changes the shape, the scale or the recipe.
So all of them are kept once more, with a digest, in one object beside those of level 0, of which Zarr takes no notice.
"""

from __future__ import annotations

__all__ = ["COPY", "copied_metadata", "mend_metadata", "metadata_changes", "put_attributes", "write_copy"]

import hashlib
import json
from pathlib import Path
from typing import Any

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from napari_restore.images.staging import Stage

COPY = "0/.metadata.json"
"""Where the copy lies."""
_GROUP = ("zarr.json", ".zgroup", ".zattrs")
_ARRAY = ("zarr.json", ".zarray", ".zattrs")

Files = dict[str, dict[str, Any]]


def write_copy(path: str | Path, levels: int) -> None:
    """Keep the metadata of an image once more, as they are now.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    levels : int
        How many it has.
    """
    store = _store(path)
    names = [*_GROUP, *(f"{level}/{name}" for level in range(levels) for name in _ARRAY)]
    files = {name: content for name in names if (content := _parsed(_get(store, name))) is not None}
    _set(store, COPY, {"sha256": _digest(files), "files": files})


def copied_metadata(path: str | Path) -> Files | None:
    """Read the copy: JSON by the name of the file; None if there is none, or if it is damaged itself."""
    content = _parsed(_get(_store(path), COPY))
    files = content.get("files") if content else None
    return files if content and isinstance(files, dict) and _digest(files) == content.get("sha256") else None


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
        Names of files; that of the copy itself, where that is damaged.
    """
    store = _store(path)
    if _get(store, COPY) is None:
        return ()
    copied = copied_metadata(path)
    if copied is None:
        return (COPY,)
    return tuple(name for name, content in copied.items() if not _holds(name, _parsed(_get(store, name)), content))


def put_attributes(path: str | Path, attributes: dict[str, Any], stage: Stage | None = None) -> None:
    """Change attributes of an image, and the copy first: interrupted in between, the same change can be made again.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image. One whose metadata or copy cannot be read is left as it is.
    attributes : dict
        What is put in place of those of the same names.
    stage : Stage, optional
        What an image in a local directory is written through.
    """
    store = _store(path)
    name = ".zattrs" if _get(store, "zarr.json") is None else "zarr.json"
    content, copied = _parsed(_get(store, name)), copied_metadata(path)
    if content is None or copied is None or name not in copied:
        return
    for changed in (content, copied[name]):
        (changed if name == ".zattrs" else changed["attributes"]).update(attributes)
    _set(store, COPY, {"sha256": _digest(copied), "files": copied}, stage)
    _set(store, name, content, stage)


def mend_metadata(path: str | Path, stage: Stage | None = None) -> None:
    """Write back what was changed; what others have added stays, where it can be read.

    Parameters
    ----------
    path : str or Path
        Directory or URL of the image.
    stage : Stage, optional
        What an image in a local directory is written through.
    """
    store = _store(path)
    changes = metadata_changes(path)
    if changes == (COPY,):
        levels = len([level for level in range(100) if any(_get(store, f"{level}/{name}") for name in _ARRAY[:2])])
        write_copy(path, levels)
        return
    copied = copied_metadata(path) or {}
    for name in changes:
        found, wanted = _parsed(_get(store, name)) or {}, copied[name]
        mended = found | wanted if name.endswith(".zattrs") else dict(wanted)
        if isinstance(found.get("attributes"), dict) and "attributes" in wanted:
            mended["attributes"] = found["attributes"] | wanted["attributes"]
        _set(store, name, mended, stage)


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


def _digest(files: Files) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _store(path: str | Path) -> Store:
    return FsspecStore.from_url(str(path)) if "://" in str(path) else LocalStore(path)


def _get(store: Store, name: str) -> bytes | None:
    found = sync(store.get(name, default_buffer_prototype()))
    return None if found is None else found.to_bytes()


def _set(store: Store, name: str, content: Any, stage: Stage | None = None) -> None:
    text = json.dumps(content, indent=2).encode()
    if stage is not None and isinstance(store, LocalStore):
        stage.put(store.root / name, text)
    else:
        sync(store.set(name, default_buffer_prototype().buffer.from_bytes(text)))


def _parsed(content: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(content) if content is not None else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

"""Read a package of bioimage.io whose network is Restormer or SwinIR: find its weights and what it says of them."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from napari_restore.errors import ModelError
from napari_restore.files import fresh_file
from napari_restore.models.card import ModelCard
from napari_restore.models.fetch import models_folder
from napari_restore.models.metadata import CARD_FIELDS, NOT_INFERRED

__all__ = ["Package", "find_package"]

_DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml", "model.yaml")
"""Names of the file that describes a package."""
_MOST = 2**22
"""Bytes that a description has at most."""
_INFLATED = 20
"""Weights hardly compress; a member that becomes this many times as large as the package was made to fill the disk."""
_APPLIED = {"ensure_dtype", "scale_range"}
"""Preprocessing whose effect a run has too: it scales a value range to 0 to 1."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Package:
    """A package of bioimage.io.

    Attributes
    ----------
    path : Path
        The ZIP file, folder or description that was given.
    weights : Path
        File of its weights in the format of PyTorch.
    not_inferred : dict of str to object
        Hyper-parameters of SwinIR that its weights do not show: `img_range` and `mean`, as far as the package says.
    fields : dict of str to object
        Fields of a card that it says.
    """

    path: Path
    weights: Path
    not_inferred: dict[str, Any]
    fields: dict[str, Any]

    def card(self, of_weights: Callable[..., ModelCard], **given: Any) -> ModelCard:
        """Make the card of the model.

        Parameters
        ----------
        of_weights : callable
            Makes the card of the weights alone, from the keywords `img_range` and `mean`.
        **given : Any
            `img_range` and `mean` as the user has given them; None for those of the package.

        Returns
        -------
        ModelCard
            The card, with what the package says.

        Raises
        ------
        ModelError
            If a field is wrong, or the weights cannot be read.
        """
        told = {**self.not_inferred, **{name: value for name, value in given.items() if value is not None}}
        try:
            return ModelCard.model_validate({**of_weights(**told).model_dump(), **self.fields})
        except ValueError as error:  # of pydantic
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"the description in {self.path} is damaged ({reason}); fetch it again.") from error


def find_package(path: Path) -> Package | None:
    """Open a package of bioimage.io.

    Weights in a ZIP file are extracted to the folder of models, once.

    Parameters
    ----------
    path : Path
        A ZIP file, a folder with a description (``rdf.yaml`` or ``bioimageio.yaml``), or that description; or the id of
        a package that lies in the folder of models (`models_folder`), such as ``affable-shark``.

    Returns
    -------
    Package or None
        None if the path is something else.

    Raises
    ------
    ModelError
        If the package is damaged, or has no weights of PyTorch.
    """
    if not path.exists():
        found = _with_id(path.as_posix())
        return None if found is None else find_package(found)
    if path.is_file() and path.suffix.lower() == ".zip":
        return _in_zip(path)
    described = _file_in(path)
    if described is None:
        return None
    content = _content(described.read_bytes(), path)
    weights = described.parent / _member(_entry(content, path)["source"], path)
    if not weights.is_file():
        raise ModelError(f"{path} lacks its weights {weights.name}; fetch the package again.")
    return _package(path, content, weights)


def _with_id(name: str) -> Path | None:
    """Return the first ZIP file or folder in the folder of models whose description has an id."""
    folder = models_folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            text = _description(path)
            if text is not None and _content(text, path).get("id") == name:
                return path
        except (ModelError, OSError, zipfile.BadZipFile) as error:
            _log.info("%s is not searched for the model %s: %s", path, name, error)
    return None


def _description(path: Path) -> bytes | None:
    """Read the description in a ZIP file or a folder; None if there is none."""
    if path.is_dir():
        described = _file_in(path)
        return None if described is None else described.read_bytes()
    if path.suffix.lower() != ".zip":
        return None
    with zipfile.ZipFile(path) as archive:
        return _text_in(archive, path)


def _file_in(path: Path) -> Path | None:
    """Return the description in a folder, or the path itself if it is one; None if there is none."""
    names = [path] if path.name in _DESCRIPTIONS else [path / name for name in _DESCRIPTIONS]
    described = next((each for each in names if each.is_file()), None)
    if described is not None and described.stat().st_size > _MOST:
        raise ModelError(f"{described} is no description of a model: it has more than {_MOST} bytes.")
    return described


def _text_in(archive: zipfile.ZipFile, path: Path) -> bytes | None:
    """Read the description in an opened ZIP file; None if there is none."""
    name = next((name for name in _DESCRIPTIONS if name in archive.namelist()), None)
    if name is not None and archive.getinfo(name).file_size > _MOST:
        raise ModelError(f"{name} in {path} is no description of a model: it has more than {_MOST} bytes.")
    return None if name is None else archive.read(name)


def _in_zip(path: Path) -> Package | None:
    """Open a package in a ZIP file."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = _text_in(archive, path)
            if text is None:
                return None
            content = _content(text, path)
            member = archive.getinfo(_member(_entry(content, path)["source"], path))
            if member.file_size > _INFLATED * path.stat().st_size:
                raise ModelError(f"{path} was not opened: its weights would become {member.file_size} bytes.")
            return _package(path, content, _extracted(path, archive, member))
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise ModelError(f"{path} is damaged or lacks its weights ({error}); fetch the package again.") from error


@lru_cache(maxsize=16)
def _digest(path: Path, changed_ns: int, size: int, member: str | None = None) -> str:
    """Return the SHA-256 of a file, or of a member of a ZIP file; time and size tell whether the file is the same."""
    with contextlib.ExitStack() as stack:
        if member is None:
            file: IO[bytes] = stack.enter_context(path.open("rb"))
        else:
            file = stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open(member))
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _digest_of(path: Path, member: str | None = None) -> str:
    state = path.stat()
    return _digest(path, state.st_mtime_ns, state.st_size, member)


def _extracted(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Path:
    """Extract a file to the folder of models, under a name that its content has, unless it is there."""
    digest = _digest_of(path, member.filename)
    target = models_folder() / "packages" / digest[:16] / PurePosixPath(member.filename).name
    if not target.is_file() or target.stat().st_size != member.file_size:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as file, fresh_file(target) as fresh, fresh.open("wb") as out:
            shutil.copyfileobj(file, out)
    return target


def _content(text: bytes, path: Path) -> dict[str, Any]:
    """Read a description."""
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"the description in {path} cannot be read ({error}); fetch the package again.") from error
    if not isinstance(content, dict) or content.get("type") != "model":
        raise ModelError(f"{path} is no package of a model of bioimage.io; give the package of a model.")
    return content


def _entry(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the entry of the weights of PyTorch."""
    kinds = content.get("weights")
    entry = kinds.get("pytorch_state_dict") if isinstance(kinds, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
        there = ", ".join(kinds) if isinstance(kinds, dict) and kinds else "none"
        raise ModelError(
            f"{path} has no weights in the format pytorch_state_dict (it has {there}), and only these are read; run "
            "the package with bioimageio.core."
        )
    return entry


def _member(source: str, path: Path) -> str:
    """Return the name of the weights in the package, and refuse a place outside it."""
    inside = PurePosixPath(source)
    if "://" in source or inside.is_absolute() or ".." in inside.parts:
        raise ModelError(
            f"the weights of {path} are at {source}, outside the package; `bioimageio package` writes one with its "
            "weights inside."
        )
    return str(inside)


def _package(path: Path, content: dict[str, Any], weights: Path) -> Package:
    """Collect what a description says, and say what of it a run does not do."""
    entry = _entry(content, path)
    expected = entry.get("sha256")
    if expected and _digest_of(weights) != expected:
        raise ModelError(f"the weights of {path} have another digest than its description says; fetch it again.")
    architecture = entry.get("architecture")
    kwargs = architecture.get("kwargs") if isinstance(architecture, dict) else None
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    not_inferred = {name: kwargs[name] for name in NOT_INFERRED if kwargs.get(name) is not None}
    own = _at(content, "config", "napari_restore", "card")
    fields: dict[str, Any] = {name: own[name] for name in CARD_FIELDS if name in own}
    if isinstance(content.get("name"), str):
        fields["name"] = content["name"]
        fields.setdefault("title", f"{content['name']}, a package of bioimage.io")
    if isinstance(content.get("license"), str):
        fields.setdefault("licence", content["license"])
    steps = [step for tensor in content.get("inputs") or [] for step in tensor.get("preprocessing") or []]
    left_out = sorted({str(step.get("id", step.get("name"))) for step in steps} - _APPLIED)
    if left_out:
        _log.warning(
            "%s describes the preprocessing %s, which is not done: values are brought to the range 0 to 1 as for all "
            "models, unless a range of values is given.", path, ", ".join(left_out),
        )  # fmt: skip
    return Package(path, weights, not_inferred, fields)


def _at(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the mapping at nested keys; empty if there is none."""
    found: Any = content
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}

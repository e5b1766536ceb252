"""Examine an installation: what a report of a fault should say about the machine it happened on."""

from __future__ import annotations

__all__ = ["Finding", "examine"]

import importlib.util
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from napari_restore.wording import human_bytes

_PACKAGE = "napari-restore"
_FOR_DEVELOPERS = {"test", "test-napari", "lint", "dev", "docs"}


class Finding(NamedTuple):
    """One line of what was found."""

    what: str
    """What was examined."""
    state: str
    """What was found."""
    good: bool
    """Whether nothing has to be done."""


def examine() -> Iterator[Finding]:
    """Examine this installation and this machine.

    Yields
    ------
    Finding
        A line for each of: package, Python, required packages, extras, processor, memory, devices, back ends, folders
        of models and of the cache, plugin manifest. What cannot be examined is one line with the error.
    """
    for what, look in _EXAMINATIONS.items():
        try:
            found = list(look())
        except Exception as error:  # a broken installation is what this is for
            found = [Finding(what, f"cannot be examined: {type(error).__name__}: {error}", False)]
        yield from found


def _package() -> Iterator[Finding]:
    import napari_restore

    yield Finding(_PACKAGE, f"{napari_restore.__version__}, in {Path(napari_restore.__file__).parent}", True)


def _python() -> Iterator[Finding]:
    yield Finding("Python", f"{platform.python_version()}, {platform.platform()}, {sys.executable}", True)


def _required() -> Iterator[Finding]:
    """Base requirements; a package that is missing or too old has a line of its own."""
    needed = [one for one in _requirements() if one.marker is None or one.marker.evaluate({"extra": ""})]
    versions, wrong = [], []
    for one in sorted(needed, key=lambda one: one.name):
        problem = _problem(one)
        if problem:
            wrong.append(Finding("required package", problem, False))
        else:
            versions.append(f"{one.name} {metadata.version(one.name)}")
    yield Finding("required packages", ", ".join(versions), not wrong)
    yield from wrong


def _extras() -> Iterator[Finding]:
    for extra in metadata.metadata(_PACKAGE).get_all("Provides-Extra") or ():
        if extra in _FOR_DEVELOPERS:
            continue
        needed = [
            one for one in _requirements()
            if one.name != _PACKAGE and one.marker
            and one.marker.evaluate({"extra": extra}) and not one.marker.evaluate({"extra": ""})
        ]  # fmt: skip
        if not needed:  # an extra that is made of other extras
            continue
        problems = [problem for one in needed if (problem := _problem(one))]
        absent = all(_version(one.name) is None for one in needed)
        if absent:
            state = f'not installed: pip install "{_PACKAGE}[{extra}]"'
        else:
            state = "; ".join(problems) or ", ".join(f"{one.name} {_version(one.name)}" for one in needed)
        yield Finding(f"extra {extra}", state, absent or not problems)


def _machine() -> Iterator[Finding]:
    from napari_restore.engine.hardware.devices import cores, devices, free_memory
    from napari_restore.engine.hardware.host_memory import available_memory
    from napari_restore.engine.hardware.machine_cache import processor

    yield Finding("processor", f"{processor()}; {cores()} threads for networks", True)
    yield Finding("free memory", human_bytes(available_memory()), True)
    for device in devices():
        if not device.is_cpu:
            yield Finding("device", f"{device}, {human_bytes(free_memory(device))} free", True)
    if all(device.is_cpu for device in devices()):
        yield Finding("devices", "cpu; torch finds no GPU", True)


def _back_ends() -> Iterator[Finding]:
    from napari_restore.engine.hardware.backends import INSTALL, openvino_version
    from napari_restore.engine.hardware.compiling import can_compile
    from napari_restore.engine.hardware.devices import devices

    yield Finding("back end eager", "usable", True)
    compiled = any(map(can_compile, devices()))
    yield Finding("back end compiled", "usable" if compiled else "not usable: no C++ compiler (g++, clang++)", True)
    version = openvino_version()
    yield Finding("back end openvino", version or f"not installed: {INSTALL}", True)


def _folders() -> Iterator[Finding]:
    from napari_restore.engine.hardware.machine_cache import cache_folder
    from napari_restore.models.fetch import models_folder
    from napari_restore.models.zoo import all_cards, weights_state

    cards = all_cards()
    here = sum(not weights_state(card).startswith(("will", "missing")) for card in cards)
    yield Finding("models", f"{here} of {len(cards)} on this machine; downloads in {_folder(models_folder())}", True)
    yield Finding("cache", _folder(cache_folder("")), True)


def _plugin() -> Iterator[Finding]:
    if importlib.util.find_spec("npe2") is None:
        yield Finding("napari plugin", f'napari is not installed: pip install "{_PACKAGE}[napari]"', True)
        return
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution(_PACKAGE)
    manifest.validate_imports()
    parts = {"dock widgets": manifest.contributions.widgets, "readers": manifest.contributions.readers}
    counts = ", ".join(f"{len(part or ())} {name}" for name, part in parts.items())
    yield Finding("napari plugin", f"manifest is valid: {counts}", True)


_EXAMINATIONS: dict[str, Callable[[], Iterator[Finding]]] = {
    _PACKAGE: _package,
    "Python": _python,
    "required packages": _required,
    "extras": _extras,
    "machine": _machine,
    "back ends": _back_ends,
    "folders": _folders,
    "napari plugin": _plugin,
}


def _requirements() -> list[Requirement]:
    return [Requirement(text) for text in metadata.requires(_PACKAGE) or ()]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _problem(needed: Requirement) -> str:
    """Return why an installed package does not fit, with the way out; "" if it does."""
    found = _version(needed.name)
    if found is None:
        return f'{needed.name} is not installed: pip install "{needed.name}{needed.specifier}"'
    if not needed.specifier.contains(found, prereleases=True):
        return f'{needed.name} is {found}, and {needed.specifier} is needed: pip install -U "{needed.name}"'
    return ""


def _folder(path: Path) -> str:
    """Return a folder with the size of its files."""
    if not path.is_dir():
        return f"{path} (not made yet)"
    return f"{path} ({human_bytes(sum(file.stat().st_size for file in path.rglob('*') if file.is_file()))})"

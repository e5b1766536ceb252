"""Read the plugin's settings from napari's preferences."""

from __future__ import annotations

__all__ = ["Preferences", "follow_preferences", "memory_folder", "preferences", "use_cache_folder"]

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

_PLUGIN = "napari-restore"
_CACHE = "NAPARI_RESTORE_MODELS"
_taken: dict[str, str] = {}
"""Environment variables that this module has set from the preferences."""


@dataclass(frozen=True)
class Preferences:
    """The settings of the manifest's `contributions.configurations`, with defaults for a napari that has none of them.

    Attributes
    ----------
    cache_folder : str
        Folder of downloaded weights; empty: the user's cache.
    output_folder : str
        Default folder of results; empty: the current folder.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    memory_budget : float
        In GB; 0: automatic.
    """

    cache_folder: str = ""
    output_folder: str = ""
    device: str = "auto"
    memory_budget: float = 0.0


def _settings() -> list[Any]:
    """Return the categories of the plugin's settings; none if napari has none or does not know the plugin."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return []
    with suppress(KeyError):
        settings = get_plugin_settings(_PLUGIN)
        return [settings.files, settings.running]
    return []


def preferences() -> Preferences:
    """Return the current preferences."""
    values = {
        field.name: getattr(category, field.name)
        for category in _settings()
        for field in fields(Preferences)
        if hasattr(category, field.name)
    }
    return Preferences(**values)


def follow_preferences(changed: Callable[[], None]) -> Callable[[], None]:
    """Call `changed` whenever a preference changes. Return a function that ends this."""
    emitters = [category.events for category in _settings()]

    def call(event: object = None) -> None:
        changed()

    for emitter in emitters:
        emitter.connect(call)

    def end() -> None:
        for emitter in emitters:
            emitter.disconnect(call)

    return end


def memory_folder() -> Path | None:
    """Return the folder of what the dock widgets remember, beside napari's settings; None if napari keeps none."""
    from napari.settings import get_settings

    path = get_settings().config_path
    return None if path is None else Path(path).parent / _PLUGIN


def use_cache_folder() -> None:
    """Use the cache folder of the preferences for weights, unless the user's environment names one."""
    if os.environ.get(_CACHE) != _taken.get(_CACHE):
        return  # set by the user
    folder = preferences().cache_folder.strip()
    if folder:
        os.environ[_CACHE] = _taken[_CACHE] = folder
    else:
        os.environ.pop(_CACHE, None)
        _taken.pop(_CACHE, None)

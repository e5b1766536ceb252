"""What a person has set for this plugin in napari's preferences."""

from __future__ import annotations

__all__ = ["Preferences", "follow_preferences", "preferences", "use_cache_folder"]

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

_PLUGIN = "napari-restore"
_CACHE = "NAPARI_RESTORE_MODELS"
_taken: dict[str, str] = {}
"""What of the preferences was put into the environment here."""


@dataclass(frozen=True)
class Preferences:
    """The settings of the manifest's `contributions.configurations`, and their defaults where napari has none.

    Attributes
    ----------
    cache_folder
        Where downloaded weights are kept; empty for the user's cache.
    output_folder
        Where results are written unless another folder is chosen; empty for the current one.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    memory_budget
        In GB; 0 for automatic.
    """

    cache_folder: str = ""
    output_folder: str = ""
    device: str = "auto"
    memory_budget: float = 0.0


def _settings() -> list[Any]:
    """The categories of the plugin's settings; none in a napari without them, or that does not know the plugin."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return []
    with suppress(KeyError):
        settings = get_plugin_settings(_PLUGIN)
        return [settings.files, settings.running]
    return []


def preferences() -> Preferences:
    """What is set now."""
    values = {
        field.name: getattr(category, field.name)
        for category in _settings()
        for field in fields(Preferences)
        if hasattr(category, field.name)
    }
    return Preferences(**values)


def follow_preferences(changed: Callable[[], None]) -> Callable[[], None]:
    """Call `changed` whenever a preference is changed; what is returned ends that."""
    emitters = [category.events for category in _settings()]

    def call(event: object = None) -> None:
        changed()

    for emitter in emitters:
        emitter.connect(call)

    def end() -> None:
        for emitter in emitters:
            emitter.disconnect(call)

    return end


def use_cache_folder() -> None:
    """Keep downloaded weights in the folder of the preferences, unless the environment names one."""
    if os.environ.get(_CACHE) != _taken.get(_CACHE):
        return  # somebody else has set it
    folder = preferences().cache_folder.strip()
    if folder:
        os.environ[_CACHE] = _taken[_CACHE] = folder
    else:
        os.environ.pop(_CACHE, None)
        _taken.pop(_CACHE, None)

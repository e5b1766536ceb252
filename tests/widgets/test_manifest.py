"""The manifest against what it names: `npe2 validate` lets a dangling command, menu or key pass."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

import napari_restore

MANIFEST = Path(napari_restore.__file__).parent / "napari.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
CONTRIBUTIONS = CONTENT["contributions"]
COMMANDS = {command["id"]: command["python_name"] for command in CONTRIBUTIONS["commands"]}


def referenced() -> list[str]:
    kinds = [CONTRIBUTIONS[kind] for kind in ("widgets", "readers", "sample_data")] + [*CONTRIBUTIONS["menus"].values()]
    return [entry["command"] for entries in kinds for entry in entries]


def test_every_command_that_is_named_is_there_and_used() -> None:
    assert set(referenced()) == set(COMMANDS)


def test_every_command_is_an_object_that_can_be_imported() -> None:
    for name in COMMANDS.values():
        module, _, attribute = name.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_every_menu_is_one_of_naparis() -> None:
    from napari._app_model.constants import MenuId

    assert set(CONTRIBUTIONS["menus"]) <= {str(menu.value) for menu in MenuId}


def test_no_key_is_unknown() -> None:
    from npe2 import PluginManifest

    fields = set(PluginManifest.model_fields["contributions"].annotation.model_fields)  # type: ignore[union-attr]
    assert set(CONTRIBUTIONS) <= fields
    assert set(CONTENT) <= set(PluginManifest.model_fields)


def test_the_entry_point_finds_it() -> None:
    (point,) = (p for p in entry_points(group="napari.manifest") if p.name == "napari-restore")
    module, _, file = point.value.partition(":")
    assert module == "napari_restore" and (Path(napari_restore.__file__).parent / file).is_file()

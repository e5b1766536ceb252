from __future__ import annotations

import json
import types
from typing import Any, Literal

import pytest

from napari_restore.engine.planning.recipe import EXECUTION_FIELDS, SOURCE_FIELDS, Recipe, make_recipe, settings
from napari_restore.engine.planning.settings.neighbours import Neighbours
from napari_restore.engine.planning.settings.setting import Setting, type_text
from napari_restore.errors import RecipeError
from napari_restore.fingerprint import digest

VALUES: dict[str, Any] = {
    "model": "m", "img_range": 255.0, "mean": (0.45, 0.44, 0.4), "axes": "CZYX", "level": 1, "series": 2,
    "tile": (64, 96), "halo": 8, "blend": 16, "padding": "authors", "intensity": "range",
    "value_range": ((-5.5, 99.0), (1e-7, 3e9)), "noise": ((2.0, 100.0, 1.5),), "dtype": "float32",
    "precision": "bfloat16", "chunks": (1, 64, 64), "shards": (2, 128, 128), "pyramid": False, "ome_version": "0.4",
    "device": "cuda:0,cuda:2", "batch": 3, "workers": 2, "on_error": "fill", "fsync": True, "backend": "compiled",
    "lanes": 4, "memory_budget": 123_456_789, "valid_range": ((-5.0, 500.0), (0.0, 9.0)),
    "threads": 2, "fill_values": ((0.0, 65535.0), (7.0,)), "neighbours": Neighbours(axis="T", planes=3, strength=0.8),
}  # fmt: skip
"""Values of settings that are not their usual ones."""
MORE: tuple[tuple[str, Any], ...] = (
    ("tile", 64), ("series", "left eye"), ("valid_range", ()), ("valid_range", ((0.0, 9.5), (-1.0, 2.0))),
    ("fill_values", ()), ("fill_values", ((), ())), ("fill_values", ((0.0,), (), (1.5, 65535.0))),
    ("neighbours", {"axis": "none"}), ("neighbours", {"axis": "TZ", "planes": 3, "strength": 0.123456789}),
    ("neighbours", {"axis": "T", "noise": ((1.0, 2.0, 3.0, 0.0, 0.1),), "left": (0.5,)}),
)  # fmt: skip


@pytest.mark.parametrize("name", settings())
def test_each_is_said_in_one_sentence_with_its_default_and_its_values(name: str) -> None:
    setting = settings()[name]
    assert setting.help.endswith(".") and ". " not in setting.help and setting.help[0].isupper()
    assert setting.without and (setting.default is None) == bool(setting.otherwise)
    assert all(str(value) in setting.help for value in setting.values)


def test_what_is_used_instead_is_said_in_words() -> None:
    said = settings()
    words = {"level": "0", "pyramid": "yes", "fsync": "no", "dtype": "same", "halo": "the model's own"}
    assert {name: said[name].without for name in words} == words
    assert said["halo"].description == f"{said['halo'].help} Unit: input pixels. If left out: the model's own."


def test_a_field_without_a_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "napari_restore.engine.planning.recipe.Recipe.model_fields", {"new": types.SimpleNamespace(metadata=[])}
    )
    with pytest.raises(TypeError, match="'new' of the recipe has no Setting"):
        settings()


@pytest.mark.parametrize(("name", "value"), [*VALUES.items(), *MORE])
def test_words_of_the_command_line_are_read_back(name: str, value: Any) -> None:
    setting, recipe = settings()[name], make_recipe(**{"model": "m", name: value})
    stored = getattr(recipe, name)
    assert stored != setting.default
    flag, *words = setting.words(stored)
    written = setting.written
    if written.kind == "switch":
        read: Any = setting.flags.index(flag) == 0
    else:
        assert len(words) == written.count
        read = [setting.read_items(word) if written.kind in ("list", "channels") else word for word in words]
        read = setting.read(tuple(read) if written.kind == "channels" else read[0])
    if written.kind == "word" and isinstance(read, str):
        read = written.item(read)
    assert getattr(make_recipe(**{"model": "m", name: read}), name) == stored


@pytest.mark.parametrize("name", settings())
def test_each_can_be_written_on_the_command_line(name: str) -> None:
    setting = settings()[name]
    assert setting.flag is None or setting.written.kind


def test_a_list_of_one_is_one_where_one_is_allowed() -> None:
    assert settings()["tile"].read((96,)) == 96 and settings()["mean"].read((0.5,)) == (0.5,)


def test_a_switch_that_cannot_be_turned_off_is_left_out() -> None:
    assert settings()["fsync"].words(False) == [] and settings()["backend"].words("eager") == ["--backend", "eager"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("tile", "64,x", "'64,x' is not whole numbers"), ("mean", "", "like 0.5, or several")],
)
def test_what_is_no_number_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        settings()[name].read_items(value)


def test_channels_have_to_agree() -> None:
    with pytest.raises(RecipeError, match="--range has 2, 1 numbers in its 2 words"):
        settings()["value_range"].read(((0.0, 1.0), (5.0,)))


def test_a_setting_without_an_option_says_so() -> None:
    setting = Setting("Of no use.", "values", flag=None, name="secret", annotation=dict)
    with pytest.raises(RecipeError, match="no option for secret=3; copy the call as Python"):
        setting.words(3)


def test_a_type_that_cannot_be_written_is_named() -> None:
    with pytest.raises(TypeError, match="'odd' of type dict"):
        _ = Setting("Odd.", "values", name="odd", annotation=dict).written


def test_types_are_written_as_in_python() -> None:
    for annotation in (
        int | None,
        tuple[tuple[float, float], ...] | None,
        Literal["a", "b"],
        Literal["a"] | None,
        bool,
    ):
        text = type_text(annotation)
        assert eval(text, {"Literal": Literal}) == annotation, text


def test_what_is_stored_and_known_by_a_fingerprint_stays() -> None:
    """Results of earlier versions are resumed: names, order and bytes of a recipe, and what its digest leaves out."""
    recipe = Recipe.from_json({
        "model": "m", "tile": (64, 96), "halo": 8, "value_range": ((0, 1), (2, 3)), "noise": (2, 100, 1.5),
        "dtype": "float32", "chunks": (1, 64, 64), "memory_budget": "8GB", "mean": (0.5,), "compiled": False,
    })  # fmt: skip
    assert json.dumps(recipe.as_json(), separators=(",", ":")) == (
        '{"model":"m","img_range":null,"mean":[0.5],"axes":null,"level":0,"series":0,"tile":[64,96],"halo":8,'
        '"blend":null,"padding":"reflect","intensity":null,"value_range":[[0.0,1.0],[2.0,3.0]],'
        '"noise":[[2.0,100.0,1.5]],"dtype":"float32","precision":null,"chunks":[1,64,64],"shards":null,"pyramid":true,'
        '"ome_version":"0.5","device":"auto","batch":null,"workers":null,"on_error":"raise","fsync":false,'
        '"compiled":false,"lanes":null,"memory_budget":8000000000,"threads":null}'
    )
    assert digest(recipe.pixel_settings()) == "8e1fa29d20857c3bb3a0165782af8d4bb49c3e52e4851f465d1aea4c923aa922"
    assert {
        "backend", "batch", "device", "fsync", "lanes", "memory_budget", "on_error", "workers"
    } <= EXECUTION_FIELDS  # fmt: skip
    assert {"axes", "level", "series"} <= SOURCE_FIELDS

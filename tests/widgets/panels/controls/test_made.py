from __future__ import annotations

from typing import Any

import pytest

from napari_restore.engine.planning.recipe import make_recipe, settings
from napari_restore.errors import RecipeError
from napari_restore.widgets.panels.controls.made import make_control

WITH_CONTROL = [name for name, setting in settings().items() if setting.widget]
VALUES: dict[str, list[Any]] = {
    "tile": [64, 4096], "halo": [0, 32], "blend": [0, 8], "batch": [1, 16], "workers": [3], "lanes": [2],
    "threads": [7], "memory_budget": [1_500_000_000, "8GB"], "padding": ["authors"], "precision": ["bfloat16"],
    "device": ["cpu", "cuda:1"], "backend": ["openvino"], "dtype": ["uint8", "int16"], "pyramid": [False],
    "ome_version": ["0.4"], "fsync": [True], "on_error": ["fill"], "chunks": [(1, 64, 64)], "shards": [(1, 128, 128)],
    "strength": [0.0, 0.29, 1.0], "valid_range": ["all", (0, 4000), ((-0.5, 1e6), (3, 4))],
    "fill_values": ["none", 7, ((0,), ()), ((1.5, 2),)], "missing_values": ["none", -9999],
    "denoise": ["auto", "/a/file.pth"], "ensemble": [8, 1],
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_CONTROL)
def test_every_value_of_a_setting_goes_through_its_control(qtbot: Any, name: str) -> None:
    made = make_control(settings()[name])
    setting = settings()[name]
    qtbot.addWidget(made.native)
    assert made.value() == setting.default
    if setting.widget == "ComboBox":
        listed = [made.native.itemData(index) for index in range(made.native.count())]
        auto = [None] if setting.default is None else []
        assert listed == [*auto, *(setting.options.get("choices") or setting.values)]
    assert made.label == setting.control.partition(" › ")[2] and setting.help in made.native.toolTip()
    told: list[Any] = []
    made.when_changed(lambda: told.append(made.value()))
    for value in VALUES[name]:
        stored = getattr(make_recipe(model="m", **{name: value}), name)
        made.show(stored)
        assert made.value() == stored, value
    if setting.widget != "LineEdit":  # of which only typing tells
        assert told
    made.show(None)
    assert made.value() == setting.default


@pytest.mark.parametrize(
    ("name", "value"),
    [("tile", (64, 96)), ("halo", 2000), ("memory_budget", 1_234_567_890), ("strength", 0.333), ("batch", 1000)],
)
def test_a_value_that_a_control_cannot_show_is_seen_to_differ(qtbot: Any, name: str, value: Any) -> None:
    made = make_control(settings()[name])
    qtbot.addWidget(made.native)
    made.show(value)
    assert made.value() != value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("chunks", "1,x", "'1,x' is not whole numbers"),
        ("valid_range", "5", "Valid range '5' has 1 parts; write LOW HIGH"),
        ("valid_range", "9 3", "the first must be less than the second"),
        ("fill_values", "nan", "NaN and infinity are always missing"),
    ],
)
def test_text_that_is_no_value_is_refused(qtbot: Any, name: str, text: str, words: str) -> None:
    made = make_control(settings()[name])
    qtbot.addWidget(made.native)
    made.native.setText(text)
    with pytest.raises(RecipeError, match=words):
        made.value()


def test_auto_says_what_it_stands_for(qtbot: Any) -> None:
    for name, planned, text in (("tile", 96, "auto (96)"), ("precision", "bfloat16", "auto (bfloat16)")):
        made = make_control(settings()[name])
        qtbot.addWidget(made.native)
        made.show_planned(planned)
        assert (made.native.text() if name == "tile" else made.native.currentText()) == text
        assert made.value() is None
    made = make_control(settings()["chunks"])
    qtbot.addWidget(made.native)
    made.show_planned((1, 64, 64))
    assert made.native.placeholderText() == "auto (1,64,64)" and made.value() is None

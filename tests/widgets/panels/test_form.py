from __future__ import annotations

from pathlib import Path
from typing import Any

from docks import click, to_disk

from napari_restore.widgets.dock import RestoreDock


def test_settings_of_a_recipe_without_control_are_shown_and_dropped(qtbot: Any, dock: RestoreDock) -> None:

    dock.form.show_choices(dock.choices().replaced(img_range=255.0))
    assert dock.choices().recipe.img_range == 255 and not dock.form.carried_row.isHidden()
    click(qtbot, dock.form.carried_row.button)
    assert dock.choices().recipe.img_range is None and dock.form.carried_row.isHidden()


def test_settings_survive_saving_and_loading(dock: RestoreDock, tmp_path: Path) -> None:
    from napari_restore.widgets.jobs.calls import load_recipe, save_recipe

    dock.output.low.setText("90")
    dock.output.high.setText("900")
    to_disk(dock, tmp_path / "o.zarr")
    chosen = dock.choices()
    save_recipe(chosen, tmp_path / "recipe.json")
    dock.output.low.clear()
    dock.output.high.clear()
    dock.performance.tile.setValue(0)
    dock.form.show_choices(load_recipe(tmp_path / "recipe.json"))
    assert dock.choices() == chosen

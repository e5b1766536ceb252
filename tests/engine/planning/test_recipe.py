from __future__ import annotations

import pytest

from napari_restore.engine.planning.recipe import Recipe, make_recipe
from napari_restore.errors import RecipeError
from napari_restore.fingerprint import digest


def test_json_round_trip() -> None:
    recipe = make_recipe(model="m", tile=(64, 96), value_range=((0, 1), (2, 3)), dtype="float32", chunks=(1, 64, 64))
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_one_pair_is_a_range_for_all_channels() -> None:
    assert make_recipe(model="m", value_range=(1, 2)).value_range == ((1.0, 2.0),)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tiel": 3}, "no setting 'tiel'"),
        ({"value_range": (3, 3)}, "3.0..3.0"),
        ({"value_range": (0, float("nan"))}, "nan"),
        ({"dtype": "complex64"}, "complex64"),
        ({"dtype": "unit16"}, "unit16"),
        ({"precision": "float16"}, "float32"),
        ({"batch": 0}, "batch=0"),
        ({"level": -1}, "level=-1"),
        ({"ome_version": "0.3"}, "0.4"),
    ],
)
def test_bad_setting_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        make_recipe(model="m", **settings)


def test_open_fields_come_from_the_earlier_run() -> None:
    earlier = make_recipe(model="m", tile=64, halo=8, value_range=(0, 9), dtype="float32", pyramid=False)
    merged = make_recipe(model="m", halo=16, tile=None, dtype="same").merged(earlier)
    assert (merged.tile, merged.halo, merged.value_range) == (64, 16, ((0.0, 9.0),))
    assert (merged.dtype, merged.pyramid) == ("same", False)


def test_of_how_to_run_only_what_moves_last_bits_comes_from_the_earlier_run() -> None:
    how = {"batch": 4, "backend": "compiled", "workers": 3, "lanes": 2, "memory_budget": 9, "device": "cuda:3"}
    merged = make_recipe(model="m").merged(make_recipe(model="m", on_error="fill", fsync=True, **how))
    assert merged == make_recipe(model="m", batch=4, backend="compiled")


def test_nothing_comes_from_a_run_with_another_model() -> None:
    assert make_recipe(model="m").merged(make_recipe(model="n", tile=64)).tile is None


def test_how_to_run_is_not_what_comes_out() -> None:
    one, other = make_recipe(model="m", device="cpu", batch=1, workers=1), make_recipe(model="m", batch=4)
    assert digest(one.pixel_settings()) == digest(other.pixel_settings())
    assert digest(one.pixel_settings()) != digest(make_recipe(model="m", tile=64).pixel_settings())


def test_a_setting_of_earlier_versions_stands_for_a_back_end() -> None:
    assert make_recipe(model="m", compiled=True).backend == "compiled"
    assert make_recipe(model="m", compiled=False).backend == "eager"
    assert make_recipe(model="m", compiled=None).backend is None
    with pytest.raises(RecipeError, match="earlier name of a back end; give the back end alone"):
        make_recipe(model="m", compiled=True, backend="openvino")
    with pytest.raises(RecipeError, match="compiled"):
        make_recipe(model="m", compiled="very")


def test_a_back_end_is_stored_so_that_earlier_versions_read_it() -> None:
    for backend, compiled in (("eager", False), ("compiled", True), (None, None)):
        recipe = make_recipe(model="m", backend=backend)
        assert recipe.as_json()["compiled"] is compiled and "backend" not in recipe.as_json()
    stored = make_recipe(model="m", backend="openvino").as_json()
    assert stored["backend"] == "openvino" and "compiled" not in stored
    assert Recipe.from_json(stored).backend == "openvino"
    # What was made before there were back ends was made by torch as it is, and goes on so.
    assert Recipe.from_json({"model": "m"}).backend == "eager"
    assert Recipe.from_json({"model": "m", "compiled": True}).backend == "compiled"
    one, other = (make_recipe(model="m", backend=name) for name in ("eager", "openvino"))
    assert digest(one.pixel_settings()) == digest(other.pixel_settings())

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_restore.errors import RecipeError, SourceError
from napari_restore.models.card import ModelCard
from napari_restore.models.zoo import find_card, load_weights
from napari_restore.training import train as module
from napari_restore.training.clean import clean_pool
from napari_restore.training.recipes import RECIPES
from napari_restore.training.start import adapted
from napari_restore.training.train import TrainingRun, draw_batch, learning_rate_factor, restoration_loss, train

SHORT = {
    "restormer-denoise-light": {"dim": 8, "blocks": (1, 1, 1, 1), "refinement_blocks": 1, "heads": (1, 1, 1, 1)},
    "swinir-x2-light": {"embed_dim": 12, "depths": (2,), "heads": (2,)},
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real recipes, with small networks, few steps and few images."""
    for name, smaller in SHORT.items():
        recipe = RECIPES[name]
        hyperparameters = {**recipe.hyperparameters, **smaller}
        monkeypatch.setitem(
            RECIPES, name, replace(recipe, hyperparameters=hyperparameters, steps=12, batch=2, patch=32, warmup=3)
        )
    pool = module.clean_pool
    monkeypatch.setattr(module, "clean_pool", lambda rng, **kw: pool(rng, **kw | {"synthetic": 7}))


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.usefixtures("short")
def test_a_run_makes_weights_that_load_with_their_card(tmp_path: Path, name: str) -> None:
    path = train(name, tmp_path, log_every=6)
    assert path is not None
    card = ModelCard.model_validate_json(path.with_suffix(".json").read_text())
    assert card.sha256 == find_card(path).sha256
    assert not find_card(path).assumed  # the file tells even what shapes do not
    inferred = find_card(path).hyperparameters
    assert inferred["in_channels"] == 1 and inferred.get("scale", 1) == card.scale


@pytest.mark.usefixtures("short")
def test_interrupted_and_continued_is_the_same_run(tmp_path: Path) -> None:
    recipe = RECIPES["swinir-x2-light"]
    images = [torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0))]

    def advance(run: TrainingRun, steps: int) -> list[float]:
        return [run.advance(draw_batch(images, torch.ones(1), 2, 32, run.generator)) for _ in range(steps)]

    whole, first, second = (TrainingRun.start(recipe) for _ in range(3))
    expected = advance(whole, 6)
    begun = advance(first, 3)
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    np.testing.assert_allclose(begun + advance(second, 3), expected, rtol=1e-5)
    assert second.step == 6


def test_fifty_steps_from_the_seed_give_the_same_loss() -> None:
    recipe = RECIPES["restormer-denoise-light"]
    small = {**recipe.hyperparameters, **SHORT["restormer-denoise-light"]}
    losses = []
    for _ in range(2):
        pool, chances = clean_pool(np.random.default_rng(recipe.pool_seed), synthetic=7)
        images, probability = [torch.from_numpy(image) for image in pool], torch.from_numpy(chances).float()
        run = TrainingRun.start(replace(recipe, hyperparameters=small))
        losses.append([run.advance(draw_batch(images, probability, 2, 32, run.generator)) for _ in range(50)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.usefixtures("short")
def test_stopped_after_some_minutes_and_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    assert train("swinir-x2-light", tmp_path, state=state, minutes=0, log_every=6) is None
    capsys.readouterr()
    path = train("swinir-x2-light", tmp_path, state=state, log_every=6)
    assert "step 6 of 12" in capsys.readouterr().out
    assert path is not None
    card = ModelCard.model_validate_json(path.with_suffix(".json").read_text())
    again = train("swinir-x2-light", tmp_path / "again", state=state)
    assert again is not None and again.read_bytes() == path.read_bytes()
    whole = ModelCard.model_validate_json(again.with_suffix(".json").read_text())
    assert whole.training["final_loss"] == card.training["final_loss"]


@pytest.mark.usefixtures("short")
def test_what_would_lose_a_run_or_mix_two_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="would be lost"):
        train("swinir-x2-light", tmp_path, minutes=0)
    state = tmp_path / "state"
    train("swinir-x2-light", tmp_path, state=state, minutes=0, log_every=6)
    monkeypatch.setitem(RECIPES, "swinir-x2-light", replace(RECIPES["swinir-x2-light"], patch=48))
    with pytest.raises(RecipeError, match=r"patch '32', and this one has '48'"):
        train("swinir-x2-light", tmp_path, state=state)
    torch.save({key: value for key, value in torch.load(state).items() if key != "recipe"}, tmp_path / "earlier")
    with pytest.raises(RecipeError, match="holds a run with network None"):
        train("swinir-x2-light", tmp_path, state=tmp_path / "earlier")  # of a version that did not note it
    with pytest.raises(SourceError, match="is not a folder"):
        train("swinir-x4-light", tmp_path, images=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="contains no image"):
        train("swinir-x4-light", tmp_path, images=tmp_path / "empty")


@pytest.mark.usefixtures("short")
def test_a_card_says_what_its_run_was(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.random.default_rng(0).integers(0, 9, (200, 200), np.uint8))
    path = train("restormer-denoise-light", tmp_path, images=folder, sources="my cells (CC0)", licence="MIT")
    assert path is not None
    card = ModelCard.model_validate_json(path.with_suffix(".json").read_text())
    assert card.training["command"] == "napari-restore-train restormer-denoise-light --device cpu --images FOLDER"
    assert card.training["data"]["folder"] == "my cells (CC0)" and card.licence == "MIT" and not card.bundled
    assert "of 2 × 32² pixels" in card.description() and "from 40% of them on" in card.description()


def test_a_start_from_other_weights() -> None:
    recipe = RECIPES["swinir-x4-light"]
    begun, bundled = TrainingRun.start(recipe).network.state_dict(), load_weights(find_card("swinir-x2-light"))
    known = bundled.state_dict()
    same = [key for key in known if torch.equal(begun[key], known[key])]
    assert set(known) - set(same) == {"upsample.0.weight", "upsample.0.bias"}


def test_a_gray_convolution_made_one_for_colours() -> None:
    gray, x = torch.rand(8, 1, 3, 3), torch.rand(2, 1, 9, 9)
    first = adapted(gray, (8, 3, 3, 3))
    assert first is not None
    expected = torch.nn.functional.conv2d(x, gray)
    torch.testing.assert_close(torch.nn.functional.conv2d(x.repeat(1, 3, 1, 1), first), expected)
    last = adapted(torch.rand(1, 8, 3, 3), (3, 8, 3, 3))
    assert last is not None and torch.equal(last[0], last[2])
    assert adapted(gray, (9, 1, 3, 3)) is None and adapted(torch.rand(4), (5,)) is None


@pytest.mark.usefixtures("short")
def test_training_lowers_the_loss() -> None:
    run = TrainingRun.start(replace(RECIPES["restormer-denoise-light"], steps=60))
    images = [torch.linspace(0, 1, 48).repeat(1, 48, 1)]
    losses = [run.advance(draw_batch(images, torch.ones(1), 4, 32, run.generator)) for _ in range(40)]
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) - 0.3


def test_the_schedule_warms_up_and_cools_down() -> None:
    recipe = replace(RECIPES["swinir-x2-light"], steps=1000, warmup=100, cooldown=0.2)
    factors = [learning_rate_factor(recipe, step) for step in range(1000)]
    assert factors[0] == pytest.approx(0.01) and factors[100:801] == [1.0] * 701
    assert factors[-1] == pytest.approx(0.005) and np.all(np.diff(factors[800:]) < 0)


def test_crops_grow_late_in_a_run_and_hold_as_many_pixels() -> None:
    recipe = replace(RECIPES["restormer-denoise-light"], steps=10, batch=8, patch=64, larger_from=0.6)
    assert [recipe.crops(step) for step in range(10)] == 6 * [(8, 64)] + 4 * [(2, 128)]
    assert recipe.largest_patch == 128
    same = replace(recipe, larger_from=1.0)
    assert {same.crops(step) for step in range(10)} == {(8, 64)} and same.largest_patch == 64


def test_losses() -> None:
    target, output = torch.zeros(2, 1, 4, 4), torch.stack([torch.full((1, 4, 4), v) for v in (0.1, 1.0)])
    assert float(restoration_loss("l1", output, target)) == pytest.approx(0.55)
    assert float(restoration_loss("log-l1", output, target)) == pytest.approx(np.log(0.1) / 2, abs=3e-3)
    assert float(restoration_loss("log-mse", output, target)) == pytest.approx(np.log(0.1), abs=1e-3)

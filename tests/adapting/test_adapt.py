from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from safetensors.torch import load_file, save_file
from scipy import ndimage
from typer.testing import CliRunner

from napari_restore import api
from napari_restore.adapting import adapt, judging, outcome
from napari_restore.adapting.outcome import AdaptProgress, View
from napari_restore.cli import app
from napari_restore.errors import ModelError, OutputError, OutputInUse, RecipeError
from napari_restore.models.defaults import DENOISER

TINY = Path(__file__).parents[1] / "weights/restormer-sigma25-tiny.safetensors"
TRUTH = 300 + 150 * np.sin(np.arange(192) / 9) * np.cos(np.arange(192) / 7)[:, None]
SETTINGS: dict[str, Any] = {"axes": "YX", "value_range": (0, 800), "neighbours": "none"}
SHORT: dict[str, Any] = {"model": TINY, "method": "r2r", "steps": 12, **SETTINGS}


def noisy(seed: int = 0) -> np.ndarray:
    """An image whose noise is lower than what the model was trained for."""
    return np.random.default_rng(seed).poisson(TRUTH).astype(np.uint16)


def few_photons() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (20 * rng.poisson(TRUTH / 300) + rng.normal(20, 4, TRUTH.shape)).astype(np.uint16)


def error(image: np.ndarray) -> float:
    return float(np.square(image.astype(np.float64) - TRUTH).mean())


def error_of(view: View) -> float:
    return float(np.square(view.pixels - TRUTH[view.region["Y"], view.region["X"]]).mean())


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Twelve steps are enough to learn something, and judging takes no longer than they do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "LEARNING_RATE", {"scales": 1e-2, "norms": 1e-2})
        patch.setattr(judging, "_PIXELS", 2**13)
        patch.setattr(adapt, "CROP", 32)
        yield


@pytest.fixture(scope="module")
def adapted(quick: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return api.adapt(noisy(), tmp_path_factory.mktemp("adapted") / "mine.safetensors", **SHORT)


def test_noise_that_the_model_does_not_expect_is_learned(adapted: Any) -> None:
    assert adapted.outcome == "adapted" and adapted.method == "r2r"
    assert adapted.judgement.significance > 2 and "Adapting has helped (-" in str(adapted)
    usual, own = (api.denoise(noisy(1), model=model, dtype="float32", **SETTINGS) for model in (TINY, adapted.model))
    assert error(own) < 0.7 * error(usual)  # another image of the same microscope
    assert list(adapted.output.parent.iterdir()) == [adapted.output]


def test_the_file_says_what_it_was_made_from(adapted: Any) -> None:
    card, parent = api.model_card(adapted.model), api.model_card(TINY)
    told = card.training
    assert told["parent_sha256"] == parent.sha256 and told["method"] == "r2r" and told["why"]
    assert told["source_crops"] == api.plan(noisy(), model=TINY, **SETTINGS).source_crops
    assert told["loss"] < told["parent_loss"] and told["noise"][0]["gain"] > 0
    assert "800" in told["settings"]["value_range"]
    assert card.hyperparameters == parent.hyperparameters
    assert f"{told['steps']} steps of 4" in card.description() and f"{parent.name}, by r2r" in card.description()


def test_the_card_goes_along_when_weights_are_converted(adapted: Any, tmp_path: Path) -> None:
    half = api.convert_model(adapted.model, tmp_path / "half.safetensors", half=True)
    own = api.model_card(adapted.model)
    assert half.training == own.training and half.title == own.title


@pytest.mark.parametrize(
    "card", ['{"sigma": "many"}', '"cells"', '{"training": {"steps": 3}}', '{"training": 3}'], ids=str
)
def test_a_damaged_card_is_refused(card: str, adapted: Any, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    text = f'{{"architecture": "restormer", "hyperparameters": {{}}, "card": {card}}}'
    save_file(load_file(adapted.output), path, metadata={"napari_restore": text})
    with pytest.raises(ModelError, match=r"the card in .* is damaged"):
        api.model_card(path)


class Broken(Exception):
    """The process ends in the middle of an adaptation."""


def test_an_interrupted_adaptation_goes_on_to_the_same_weights(adapted: Any, tmp_path: Path) -> None:
    out, seen, before = tmp_path / "mine.safetensors", [], []

    def stop_at_seven(event: AdaptProgress) -> None:
        seen.append(event.done)
        before.append(event.seconds)
        assert event.done * 1e-310 > 0  # how this thread computes is not changed
        if event.done == 7:
            raise Broken

    with pytest.raises(Broken):
        api.adapt(noisy(), out, progress=stop_at_seven, **SHORT)
    assert not out.exists() and (tmp_path / ".mine.adapting").exists()
    with pytest.raises(OutputError, match="another seed"):
        api.adapt(noisy(), out, seed=1, **SHORT)
    views = []

    def look_and_pause(event: AdaptProgress) -> None:
        seen.append(event.done)
        views.append(event.view)
        if event.done == 9:
            time.sleep(1)

    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt, "SECONDS", 0.0)
        with pytest.raises(RecipeError, match="the view has an axis Z"):
            api.adapt(noisy(), out, view={"Z": 0}, **SHORT)
        found = api.adapt(noisy(), out, progress=look_and_pause, view=lambda: {"Y": slice(0, 64)}, **SHORT)
    assert seen == [*range(1, 13)]
    assert [view.step for view in views] == seen[7:] and views[-1].region["Y"] == slice(0, 64)
    assert error_of(views[-1]) < error_of(views[0])
    assert found.seconds - before[-1] <= time.monotonic() - began - 1  # a pause is no part of the budget
    for name, value in load_file(out).items():
        np.testing.assert_array_equal(value.numpy(), load_file(adapted.output)[name].numpy(), name)
    assert list(tmp_path.iterdir()) == [out]


def test_two_adaptations_do_not_write_to_one_output(tmp_path: Path) -> None:
    out, told = tmp_path / "mine.safetensors", []

    def again(event: AdaptProgress) -> bool:
        with pytest.raises(OutputInUse, match=r"mine\.safetensors is being written by another run") as refused:
            api.adapt(noisy(), out, overwrite=True, **SHORT)
        told.append(refused)
        return False

    api.adapt(noisy(), out, progress=again, **SHORT)
    assert len(told) == 1 and not list(tmp_path.glob(".*"))


def test_a_killed_adaptation_goes_on_to_the_same_weights(adapted: Any, tmp_path: Path) -> None:
    out, source = tmp_path / "mine.safetensors", tmp_path / "noisy.npy"
    np.save(source, noisy())
    script = f"""
import os, signal, numpy as np, torch
from napari_restore import api
from napari_restore.adapting import adapt, judging
torch.set_num_threads(1)
adapt.LEARNING_RATE, judging._PIXELS, adapt.CROP, adapt._SAVED = {adapt.LEARNING_RATE}, {judging._PIXELS}, 32, 0.0
def kill(event):
    if event.done == 8:
        os.kill(os.getpid(), signal.SIGKILL)
settings = dict(model={str(TINY)!r}, method="r2r", steps=12, **{SETTINGS})
api.adapt(np.load({str(source)!r}), {str(out)!r}, progress=kill, **settings)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    first: list[int] = []
    api.adapt(noisy(), out, progress=lambda event: first.append(event.done), **SHORT)
    assert first[0] == 9
    for name, value in load_file(out).items():
        np.testing.assert_array_equal(value.numpy(), load_file(adapted.output)[name].numpy(), name)


def test_a_damaged_state_is_refused_and_can_be_forgotten(tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    (tmp_path / ".mine.adapting").write_bytes(b"no state")
    with pytest.raises(OutputError, match=r"is damaged .* overwrite=True"):
        api.adapt(noisy(), out, **SHORT)
    assert api.adapt(noisy(), out, overwrite=True, **{**SHORT, "steps": 1}).steps <= 1


def test_what_was_reached_is_kept_when_it_is_stopped(tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    found = api.adapt(noisy(), out, progress=lambda event: event.done < 6, **{**SHORT, "steps": 500})
    assert found.outcome == "adapted" and found.steps == 6 and out.exists()


def test_weights_that_are_no_better_are_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "SIGNIFICANT", 1e9)
    found = api.adapt(noisy(), tmp_path / "mine.safetensors", **{**SHORT, "steps": 2})
    assert found.outcome == "kept" and found.model == str(TINY) and found.output is None
    assert "Adapting did not help here (" in str(found) and f"{TINY.stem} is kept" in str(found)
    assert "which may be chance: " in str(found)  # the loss is lower, and more is asked for
    assert list(tmp_path.iterdir()) == []


def jpeg(plane: np.ndarray) -> np.ndarray:
    stored = io.BytesIO()
    Picture.fromarray(np.clip(plane / 2, 0, 255).astype(np.uint8)).save(stored, "JPEG", quality=60)
    return np.asarray(Picture.open(stored))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (np.full((192, 192), 7.0, np.float32), "noise"),
        (np.full((192, 192), np.nan, np.float32), "noise cannot be estimated"),
        (TRUTH.astype(np.float32), "hardly any noise"),
        (jpeg(np.random.default_rng(0).poisson(TRUTH)), "blocks of JPEG"),
        (np.random.default_rng(0).poisson(TRUTH[:40, :60]), "too few to set one aside"),
        (TRUTH + ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 90, TRUTH.shape), 1), "is correlated"),
        (few_photons(), "as that of few photons is, and r2r takes it for Gaussian"),
        (np.stack([noisy()] * 3), "planes along T share their noise"),
    ],
    ids=["constant", "NaN", "denoised", "JPEG", "small", "correlated", "few photons", "copies"],
)
def test_sources_that_are_not_suitable_are_declined(source: np.ndarray, reason: str, tmp_path: Path) -> None:
    axes, method = ("TYX", "noise2noise") if source.ndim == 3 else ("YX", "auto")
    given: dict[str, Any] = {"axes": axes, "method": method, "model": TINY, "neighbours": "none", "steps": 2}
    found = api.adapt(source, tmp_path / "mine.safetensors", **given)
    assert found.outcome == "declined" and reason in found.reason and found.model == str(TINY)
    assert list(tmp_path.iterdir()) == []


def test_what_is_asked_for_with_few_photons_is_told_to_be_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.safetensors"
    monkeypatch.setattr(judging.Judge, "judge", lambda self, network: outcome.Judgement(1.0, 0.9, 0.01))
    found = api.adapt(few_photons(), out, **SHORT)
    assert found.outcome == "adapted" and re.search(r"That may be wrong: the noise is skewed \(\d\.\d+\)", found.reason)
    assert "is skewed" in api.model_card(out).training["doubt"]


def test_too_little_memory_is_refused_before_any_work(tmp_path: Path) -> None:
    out, told = tmp_path / "mine.safetensors", []
    with pytest.raises(RecipeError, match=r"adapting restormer-.* takes .* MB, more than the memory_budget 300\.0 MB"):
        api.adapt(noisy(), out, **SHORT | {"memory_budget": 300_000_000, "model": DENOISER})
    assert list(tmp_path.iterdir()) == []
    api.adapt(noisy(), out, progress=lambda event: told.append(event.memory_bytes), **SHORT | {"steps": 1})
    assert 150e6 < told[0] < 300e6


def test_what_cannot_be_done_is_refused_before_any_work(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    out = tmp_path / "mine.safetensors"
    with pytest.raises(ModelError, match="only denoisers can be adapted"):
        api.adapt(noisy(), out, **{**SHORT, "model": checkpoints["upscaler"]})
    with pytest.raises(OutputError, match=r"does not end in \.safetensors"):
        api.adapt(noisy(), tmp_path / "mine.pth", **SHORT)
    with pytest.raises(OutputError, match="is no folder"):
        api.adapt(noisy(), tmp_path / "no/mine.safetensors", **SHORT)
    with pytest.raises(RecipeError, match="0 steps are not possible"):
        api.adapt(noisy(), out, **{**SHORT, "steps": 0})
    with pytest.raises(RecipeError, match="a budget of -1 minutes"):
        api.adapt(noisy(), out, minutes=-1, **SHORT)
    with pytest.raises(RecipeError, match="method 'best' is not known"):
        api.adapt(noisy(), out, **{**SHORT, "method": "best"})
    out.write_bytes(b"")
    with pytest.raises(OutputError, match="exists already; replace it with overwrite=True"):
        api.adapt(noisy(), out, **SHORT)


def test_the_budget_sets_the_number_of_steps(tmp_path: Path) -> None:
    totals: list[int] = []
    settings = {**SHORT, "steps": None}
    api.adapt(
        noisy(), tmp_path / "mine.safetensors", minutes=0.02, progress=lambda e: totals.append(e.total), **settings
    )
    assert totals[0] == 0 and totals[-1] >= 6 and len(set(totals[3:])) == 1


@pytest.mark.parametrize(
    ("model", "axes", "shape"),
    [("local", "TYX", (3, 64, 64)), ("colour_denoiser", "YXS", (96, 96, 3)), ("denoiser", "CYX", (2, 64, 96))],
)
def test_swinir_colour_channels_and_stacks(
    model: str, axes: str, shape: tuple[int, ...], checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    source = np.random.default_rng(0).poisson(200, shape).astype(np.uint16)
    method = "noise2noise" if axes == "TYX" else "auto"
    found = api.adapt(
        source, tmp_path / "mine.safetensors", axes=axes, model=checkpoints[model], method=method, steps=2
    )
    assert found.outcome in ("adapted", "kept") and found.judgement is not None and found.judgement.parent_loss > 0
    if found.output is not None:
        assert api.denoise(source, axes=axes, model=found.model).shape == shape


def test_a_source_on_disk_and_the_bundled_model(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "noisy.tif", noisy()[:96, :96])
    found = api.adapt(tmp_path / "noisy.tif", tmp_path / "mine.safetensors", axes="YX", method="r2r", steps=1)
    assert found.outcome in ("adapted", "kept")
    if found.output is not None:
        assert api.model_card(found.output).attention_window == api.model_card(api.DENOISER).attention_window


def test_the_command_line_says_what_became_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "noisy.tif", noisy()[:96, :96])
    monkeypatch.setattr(outcome, "SIGNIFICANT", 1e9)
    out = tmp_path / "mine.safetensors"
    command = ["adapt", str(tmp_path / "noisy.tif"), "-m", str(TINY), "-o", str(out), "--axes", "YX", "--steps", "1"]
    done = CliRunner().invoke(app, [*command, "--method", "r2r", "--neighbours", "none"])
    assert done.exit_code == 0 and "Adapting did not help here" in done.stdout and not out.exists()
    monkeypatch.setattr(outcome, "SIGNIFICANT", -1e9)
    done = CliRunner().invoke(app, [*command, "--method", "r2r", "--neighbours", "none", "--range", "0", "800"])
    assert done.exit_code == 0 and ("Adapting has helped" in done.stdout) == out.exists()

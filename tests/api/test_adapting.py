"""Adapt a denoiser, then denoise, in one call."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_restore import api, cli
from napari_restore.api import adapting
from napari_restore.errors import OutputError, RecipeError

TINY = Path(__file__).parents[1] / "weights/restormer-sigma25-tiny.safetensors"
TRUTH = 300 + 150 * np.sin(np.arange(128) / 9) * np.cos(np.arange(128) / 7)[:, None]
GIVEN: dict[str, Any] = {"axes": "YX", "value_range": (0, 800), "neighbours": "none", "model": TINY}


@pytest.fixture
def noisy() -> np.ndarray:
    return np.random.default_rng(0).poisson(TRUTH).astype(np.uint16)


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Adapt in twelve steps instead of minutes, and count how often."""
    from napari_restore.adapting import adapt, judging

    monkeypatch.setattr(adapt, "LEARNING_RATE", {"scales": 1e-2, "norms": 1e-2})
    monkeypatch.setattr(judging, "_PIXELS", 2**12)
    monkeypatch.setattr(adapt, "CROP", 32)
    whole, tried = adapting.adapt, []

    def short(source: Any, output: Any, **given: Any) -> Any:
        tried.append(str(output))
        return whole(source, output, method="r2r", steps=12, **given)

    monkeypatch.setattr(adapting, "adapt", short)
    return tried


def test_the_weights_are_beside_the_output_and_in_its_recipe(
    noisy: np.ndarray, tmp_path: Path, steps: list[str]
) -> None:
    out, weights = tmp_path / "cells.zarr", tmp_path / "cells.adapted.safetensors"
    blocks = {"chunks": (32, 64), "shards": (32, 64)}
    assert api.denoise(noisy, out, adapt=True, **GIVEN | blocks) == out
    assert steps == [str(weights)] and weights.exists()
    assert api.load_recipe(out)["model"] == str(weights)
    assert api.model_card(weights).training["parent_sha256"] == api.model_card(TINY).sha256
    expected = api.denoise(noisy, **GIVEN | {"model": weights})
    stored = api.open_image(out).data
    np.testing.assert_array_equal(np.asarray(stored[...]), expected)
    (out / "0/c/1/0").unlink()
    api.denoise(noisy, out, adapt=True, **GIVEN | blocks)  # resumed with the weights that are there
    np.testing.assert_array_equal(np.asarray(api.open_image(out).data[...]), expected)
    assert len(steps) == 1
    found = api.adapt_for(noisy, out, **GIVEN)
    assert found.model == str(weights) and "before, and is used" in str(found)
    with pytest.raises(OutputError, match=r"was not adapted from .* to this source; replace it with overwrite=True"):
        api.denoise(noisy[:96], out, adapt=True, **GIVEN)


def test_a_declined_source_is_denoised_as_it_is_and_the_reason_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, steps: list[str]
) -> None:
    out = tmp_path / "flat.zarr"
    with caplog.at_level(logging.WARNING):
        api.denoise(np.full((128, 128), 300, np.uint16), out, adapt=True, **GIVEN)
    assert "Adapting was declined: its noise cannot be estimated" in caplog.text
    assert "Adapting was declined" in str(api.run_report(out))
    assert api.load_recipe(out)["model"] == str(TINY) and not list(tmp_path.glob("*.safetensors"))
    api.denoise(np.full((128, 128), 300, np.uint16), out, adapt=True, **GIVEN)
    assert len(steps) == 1  # the run was started without


def test_a_result_in_memory_needs_a_name_for_the_weights(noisy: np.ndarray, tmp_path: Path, steps: list[str]) -> None:
    with pytest.raises(
        RecipeError, match=r"this result is not stored; name a file for them: adapt='mine\.safetensors'"
    ):
        api.denoise(noisy, adapt=True, **GIVEN)
    flat = np.full((64, 64), 300, np.uint16)  # it is declined, which is quick
    own = tmp_path / "own.safetensors"
    np.testing.assert_array_equal(api.denoise(flat, adapt=own, **GIVEN), api.denoise(flat, **GIVEN))
    assert steps == [str(own)]
    with pytest.raises(RecipeError, match=r"s3://bucket/a\.zarr is not on a disk"):
        api.adapt_for(noisy, "s3://bucket/a.zarr", **GIVEN)


def test_the_command_says_what_became_of_it(tmp_path: Path) -> None:
    source, out = tmp_path / "cells.tif", tmp_path / "cells.zarr"
    tifffile.imwrite(source, np.full((64, 64), 300, np.uint16))
    words = ["denoise", str(source), str(out), "--adapt", "--model", str(TINY), "--range", "0", "800"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "Adapting was declined" in " ".join(result.output.split())
    assert api.load_recipe(out)["model"] == str(TINY)

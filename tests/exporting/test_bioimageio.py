"""Packages for bioimage.io, in the programs of bioimage.io where these are installed (`tox -e exports`)."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from napari_restore import api, cli
from napari_restore.errors import ModelError

IMAGE = np.random.default_rng(0).poisson(100, (104, 96)).astype(np.uint16)
TILES = {"tile": 64, "halo": 8, "blend": 16, "value_range": (60, 140), "valid_range": "all", "neighbours": "none"}


def opened_by_spec(test: Any) -> Any:
    """bioimageio.spec leaves the package open that it has read."""
    for warning in ("unclosed file:ResourceWarning", ":pytest.PytestUnraisableExceptionWarning"):
        test = pytest.mark.filterwarnings(f"ignore:{warning}")(test)
    return test


@pytest.fixture
def spec() -> Any:
    return pytest.importorskip("bioimageio.spec", reason="bioimageio.spec is not installed; see `tox -e exports`")


@opened_by_spec
@pytest.mark.parametrize("kind", ["denoiser", "upscaler"])
def test_a_package_is_valid_and_is_a_model_here(
    spec: Any, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("NAPARI_RESTORE_MODELS", str(tmp_path / "models"))
    package = api.export_bioimageio(checkpoints[kind], tmp_path / "mine.zip", authors=("A. Author",))
    described = spec.load_model_description(package, perform_io_checks=True)
    assert [author.name for author in described.authors] == ["A. Author"]
    own, card = api.model_card(checkpoints[kind]), api.model_card(package)
    assert card.hyperparameters == own.hyperparameters and card.noise == own.noise
    halos = {axis.halo for axis in described.outputs[0].axes if axis.type == "space"}
    assert halos == {own.halo * own.scale}
    models = (checkpoints[kind], package)
    before, after = (api.restore(IMAGE, model=model, axes="YX", device="cpu", **TILES) for model in models)
    np.testing.assert_array_equal(before, after)


@opened_by_spec
def test_bundled_weights_have_their_licence_and_windows(spec: Any, tmp_path: Path) -> None:
    package = api.export_bioimageio("restormer-denoise-light", tmp_path / "a.zip")
    described = spec.load_model_description(package)
    assert str(described.license) == "BSD-3-Clause" and described.covers and described.documentation
    kwargs = described.weights.pytorch_state_dict.architecture.kwargs
    assert kwargs["attention_window"] == api.model_card("restormer-denoise-light").attention_window
    again = api.model_card(package)
    assert again.attention_window == kwargs["attention_window"] and again.licence == "BSD-3-Clause"


@pytest.mark.long
@pytest.mark.parametrize("model", ["restormer-denoise-light", "swinir-denoise-light", "swinir-x2-light"])
def test_the_test_command_of_bioimageio_passes(tmp_path: Path, model: str) -> None:
    pytest.importorskip("bioimageio.core", reason="bioimageio.core is not installed; see `tox -e exports`")
    package = api.export_bioimageio(model, tmp_path / "a.zip")
    command = [str(Path(sys.executable).with_name("bioimageio")), "test", str(package)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    print(found.stdout, found.stderr)
    assert found.returncode == 0 and "passed" in found.stdout + found.stderr


def test_the_command_exports(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(cli.app, ["export", str(checkpoints["denoiser"]), *words])

    done = run(str(tmp_path / "a.zip"), "--author", "A. Author", "--author", "B. Author")
    assert done.exit_code == 0 and done.stdout.strip() == str(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as package:
        described = yaml.safe_load(package.read("rdf.yaml"))
    assert [author["name"] for author in described["authors"]] == ["A. Author", "B. Author"]
    for words, told in (
        (["b.zip", "--tile", "64"], "takes any tiles"),
        (["b.onnx", "--format", "onnx", "--author", "A"], "names no authors"),
        (["b.zip", "--format", "keras"], "use bioimageio or onnx"),
    ):
        assert told in str(run(*words).exception)


def test_what_cannot_be_exported_is_said_before_any_work(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    (tmp_path / "a.zip").touch()
    wrong = {"a.zip": "exists already", "a.tar": r"does not end in \.zip", "no/a.zip": "does not exist"}
    for output, words in wrong.items():
        with pytest.raises(ModelError, match=words):
            api.export_bioimageio(checkpoints["denoiser"], tmp_path / output)

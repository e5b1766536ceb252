"""Packages of bioimage.io whose network is one of ours, as other programs write them."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from napari_restore.errors import ModelError
from napari_restore.models.packages import find_package
from napari_restore.models.zoo import check_weights, find_card


@pytest.fixture
def folder(tmp_path: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as a folder."""
    monkeypatch.setenv("NAPARI_RESTORE_MODELS", str(tmp_path / "models"))
    made = tmp_path / "package"
    made.mkdir()
    torch.save(load_file(checkpoints["upscaler"]), made / "w.pt")
    describe(made)
    return made


def describe(folder: Path, **changes: Any) -> None:
    content: dict[str, Any] = {
        "type": "model", "format_version": "0.5.4", "name": "Their upscaler", "license": "MIT",
        "inputs": [{"preprocessing": [{"id": "scale_range"}]}],
        "weights": {
            "pytorch_state_dict": {
                "source": "w.pt", "architecture": {"callable": "SwinIR", "kwargs": {"img_range": 2.0, "upscale": 2}},
                "sha256": hashlib.sha256((folder / "w.pt").read_bytes()).hexdigest(),
            }
        },
    }  # fmt: skip
    (folder / "rdf.yaml").write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")


def zipped(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    return target


@pytest.mark.parametrize("form", ["folder", "description", "zip"])
def test_a_package_is_a_model_by_its_path(folder: Path, form: str) -> None:
    path = {"folder": folder, "description": folder / "rdf.yaml", "zip": zipped(folder)}[form]
    card = find_card(path)
    assert (card.name, card.licence, card.architecture, card.scale) == ("Their upscaler", "MIT", "swinir", 2)
    assert card.hyperparameters["img_range"] == 2.0 and card.assumed == ("mean",)
    assert check_weights(card).read_bytes() == (folder / "w.pt").read_bytes()
    assert find_card(path, img_range=3.0).hyperparameters["img_range"] == 3.0


def test_preprocessing_that_is_not_done_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    describe(folder, inputs=[{"preprocessing": [{"id": "ensure_dtype"}, {"id": "zero_mean_unit_variance"}]}])
    with caplog.at_level(logging.WARNING):
        find_card(folder)
    assert "zero_mean_unit_variance, which is not done" in caplog.text and "ensure_dtype" not in caplog.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": {"onnx": {"source": "m.onnx"}}}, "it has onnx.*; run the package with bioimageio.core"),
        ({"weights": {"pytorch_state_dict": {"source": "../w.pt"}}}, "outside the package"),
        ({"weights": {"pytorch_state_dict": {"source": "https://a.b/w.pt"}}}, "outside the package"),
        ({"weights": {"pytorch_state_dict": {"source": "gone.pt"}}}, "lacks its weights"),
        ({"weights": {"pytorch_state_dict": {"source": "w.pt", "sha256": "0" * 64}}}, "another digest"),
        ({"type": "dataset"}, "no package of a model"),
        ({"config": {"napari_restore": {"card": {"task": "nothing"}}}}, "is damaged"),
    ],
)
def test_what_cannot_be_used_is_refused(folder: Path, changes: dict[str, Any], words: str) -> None:
    describe(folder, **changes)
    for path in (folder, zipped(folder)):
        with pytest.raises(ModelError, match=words):
            find_card(path)


def test_another_network_is_refused_as_a_checkpoint_is(folder: Path) -> None:
    torch.save({"conv.weight": torch.ones(1, 1, 3, 3)}, folder / "w.pt")
    describe(folder)
    with pytest.raises(ModelError, match="belong to neither Restormer nor SwinIR"):
        find_card(folder)


def test_weights_that_would_fill_the_disk_are_not_extracted(folder: Path) -> None:
    (folder / "w.pt").write_bytes(bytes(10**7))
    describe(folder)
    with pytest.raises(ModelError, match="would become 10000000 bytes"):
        find_card(zipped(folder))


def test_what_is_no_package_is_left_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    assert find_package(tmp_path / "a.zip") is None and find_package(tmp_path) is None


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_package_in_the_folder_of_models_is_a_model_by_its_id(folder: Path, form: str) -> None:
    describe(folder, id="affable-shark")
    models = folder.parent / "models"
    models.mkdir()
    (models / "damaged.zip").write_bytes(b"PK")
    (models / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="there is no model 'affable-shark'"):
        find_card("affable-shark")
    if form == "folder":
        folder.rename(models / "some-folder")
    else:
        zipped(folder).rename(models / "some.zip")
    assert find_card("affable-shark").name == "Their upscaler"
    with pytest.raises(ModelError, match="there is no model 'affable'"):
        find_card("affable")

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import CASES
from published import RESTORMER, SWINIR
from seeded_weights import fill, seeded_image
from torch import Tensor, nn

from napari_restore import api
from napari_restore.engine.compute import predictor
from napari_restore.engine.compute.backends import openvino as module
from napari_restore.engine.compute.backends.backend import Eager
from napari_restore.engine.compute.backends.openvino import FLOAT32_ERROR, OpenVINO
from napari_restore.engine.hardware.device import CPU
from napari_restore.engine.hardware.precision import BFLOAT16_ERROR
from napari_restore.models.architecture import build
from napari_restore.models.card import ModelCard, tiling_defaults
from napari_restore.models.zoo import bundled_cards, find_card, load_weights

pytest.importorskip("openvino", reason='OpenVINO is not installed: pip install "napari-restore[openvino]"')
from openvino import Core, InferRequest, Model
from openvino import opset13 as operations


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path / "cache"))
    predictor.release_predictors()
    return tmp_path / "cache" / "converted"


def on_a_thread(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """As a predictor calls it: the thread flushes subnormal numbers to zero, and that of the tests must not."""

    def called() -> Tensor:
        with torch.inference_mode():
            return network(image)

    with ThreadPoolExecutor(1) as own:
        return own.submit(called).result()


def card_of(architecture: Any, hyperparameters: dict[str, Any]) -> ModelCard:
    channels = hyperparameters["in_channels"]
    digest = f"{hash(json.dumps(hyperparameters, sort_keys=True)) % 16**12:064x}"
    return ModelCard(
        name="made", title="made", task="other", architecture=architecture, hyperparameters=hyperparameters,
        scale=hyperparameters.get("scale", 1), in_channels=channels,
        out_channels=hyperparameters.get("out_channels", channels), noise="", licence="", paper="", weights="",
        sha256=digest, **tiling_defaults(architecture, hyperparameters),
    )  # fmt: skip


def both(
    architecture: Any, hyperparameters: dict[str, Any], size: tuple[int, int], precision: str = "float32"
) -> tuple[Tensor, Tensor, OpenVINO]:
    """What torch in float32 and OpenVINO make of an image, and the latter."""
    network, card = build(architecture, hyperparameters), card_of(architecture, hyperparameters)
    fill(network, seed=1)
    converted = OpenVINO(network, Eager(network, CPU, precision), card, precision)  # type: ignore[arg-type]
    image = seeded_image((1, card.in_channels, *size), seed=2)
    with torch.inference_mode():
        return network(image), on_a_thread(converted, image), converted


def configurations() -> dict[str, tuple[str, dict[str, Any]]]:
    """A network of each architecture; with `tox -e backends`, which takes long, every bundled and every published one.

    Published ones of DIV2K and DF2K differ in their weights alone.
    """
    bundled = {card.name: (card.architecture, card.hyperparameters) for card in bundled_cards()}
    if not os.environ.get("NAPARI_RESTORE_EVERY_NETWORK"):
        return {name: bundled[name] for name in ("restormer-denoise-light", "swinir-x2-light")}
    swinir = {f"swinir-{name}": ("swinir", found) for name, (found, _, _) in SWINIR.items() if "df2k" not in name}
    return bundled | swinir | {f"restormer-{name}": ("restormer", found) for name, (found, _) in RESTORMER.items()}


CONFIGURATIONS = configurations()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_gives_what_torch_gives(name: str, caplog: pytest.LogCaptureFixture) -> None:
    architecture, hyperparameters = CONFIGURATIONS[name]
    side = 2 * hyperparameters.get("window", 8)
    expected, found, converted = both(architecture, hyperparameters, (side, side))
    assert found.shape == expected.shape and list(converted._graphs.values()) != [None], caplog.text
    assert float((found - expected).abs().max()) <= FLOAT32_ERROR * max(1, float(expected.abs().max()))


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_heads_windows_and_sizes_that_are_enlarged(name: str, caplog: pytest.LogCaptureFixture) -> None:
    case = CASES[name]
    expected, found, converted = both(case["network"].lower(), case["parameters"], case["size"])
    assert list(converted._graphs.values()) != [None], caplog.text
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))


@pytest.mark.parametrize("size", [(32, 48), (48, 32), (64, 64)])
def test_attention_windows_larger_and_smaller_than_the_input(
    size: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    small = {
        "in_channels": 1, "out_channels": 1, "dim": 8, "blocks": (1, 1, 1, 1), "heads": (1, 2, 2, 2),
        "refinement_blocks": 1, "attention_window": 40, "attention_cell": 8,
    }  # fmt: skip
    expected, found, converted = both("restormer", small, size)
    assert list(converted._graphs.values()) != [None], caplog.text
    assert float((found - expected).abs().max()) <= FLOAT32_ERROR * max(1, float(expected.abs().max()))


@pytest.mark.long
def test_bfloat16_keeps_the_first_and_the_last_convolution_in_float32() -> None:
    """A result of bfloat16 has 8 significant bits, and would show as steps in an image of 16."""
    card = find_card(api.UPSCALERS[4])
    network = load_weights(card)
    converted = OpenVINO(network, Eager(network, CPU, "bfloat16"), card, "bfloat16")  # type: ignore[arg-type]
    image = seeded_image((1, 1, 32, 32), seed=2)
    with torch.inference_mode():
        expected, found = network(image), on_a_thread(converted, image)
    apart = (found - expected).square().mean().sqrt()
    assert 0 < float(apart) <= BFLOAT16_ERROR and list(converted._graphs.values()) != [None]
    assert len(found.unique()) > 0.9 * len(expected.unique())


SETTINGS: dict[str, Any] = {
    "axes": "ZYX", "tile": 64, "halo": 8, "value_range": (100, 1200), "device": "cpu", "dtype": "float32",
    "valid_range": "all", "fill_values": "none", "neighbours": "none", "backend": "openvino",
}  # fmt: skip
SHARDS = {"chunks": (1, 64, 64), "shards": (1, 64, 64)}


@pytest.mark.parametrize(
    "model", ["local", *(pytest.param(name, marks=pytest.mark.long) for name in ("denoiser", "upscaler"))]
)
def test_a_result_does_not_depend_on_chunks_workers_or_lanes(
    model: str, checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    expected = api.restore(stack, model=checkpoints[model], **SETTINGS)
    plain = api.restore(stack, model=checkpoints[model], **SETTINGS | {"backend": "eager"})
    assert 0 < np.abs(expected - plain).max() < 2e-5 * 1100  # it is another back end, or this says nothing
    for more in ({**SHARDS, "workers": 3}, {"shards": (3, 128, 64), "chunks": (3, 32, 32), "workers": 1}, {"lanes": 1}):
        output = tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr"
        api.restore(stack, model=checkpoints[model], output=output, threads=1, **SETTINGS | more)
        np.testing.assert_array_equal(read(output), expected)


def read(output: Path) -> np.ndarray:
    from napari_restore.images.writing import ome_zarr

    return np.asarray(ome_zarr.open_level(output, 0)[...])


def test_both_networks_of_a_run_are_converted(
    checkpoints: dict[str, Path], stack: np.ndarray, empty_cache: Path
) -> None:
    both: dict[str, Any] = {"model": checkpoints["upscaler"], "denoise": checkpoints["denoiser"], **SETTINGS}
    found = api.restore(stack, **both)
    plain = api.restore(stack, **both | {"backend": "eager"})
    assert 0 < np.abs(found - plain).max() < 1e-4 * 1100 and len(list(empty_cache.iterdir())) == 2


def test_a_run_that_is_stopped_goes_on_in_the_same_back_end(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    settings = {"model": checkpoints["denoiser"], **SETTINGS, **SHARDS, "workers": 1}
    expected = api.restore(stack, **settings)
    output = tmp_path / "out.zarr"
    for event in (running := api.iter_restore(stack, output=output, **settings)):
        if event.done >= 2:
            running.close()
    predictor.release_predictors()  # as in another process: the converted network comes from the disk
    settings.pop("backend")
    plan = api.plan(stack, output=output, **settings)
    assert plan.recipe.backend == "openvino" and "OpenVINO" in str(plan)
    api.restore(stack, output=output, **settings)
    np.testing.assert_array_equal(read(output), expected)
    assert api.verify(output, recompute=2, source=stack).ok

    # What torch began goes on in torch, though OpenVINO has the network ready now.
    output = tmp_path / "eager.zarr"
    for event in (running := api.iter_restore(stack, output=output, **settings, backend="eager")):
        if event.done >= 2:
            running.close()
    assert api.plan(stack, output=output, **settings).recipe.backend == "eager"
    assert api.plan(stack, **settings).recipe.backend == "openvino"


def test_a_second_start_converts_nothing(
    checkpoints: dict[str, Path], stack: np.ndarray, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = api.restore(stack, model=checkpoints["local"], **SETTINGS)
    assert [path.suffix for path in empty_cache.iterdir()] == [".openvino"]
    predictor.release_predictors()
    monkeypatch.setattr(module, "_exported", lambda *_: pytest.fail("converted again"))
    np.testing.assert_array_equal(api.restore(stack, model=checkpoints["local"], **SETTINGS), expected)


def broken(*_: object) -> bytes:
    raise RuntimeError("no such operation")


def others_weights(network: nn.Module, example: Tensor, precision: str) -> bytes:
    """Convert what is not quite the network."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.001)
        try:
            return EXPORTED(network, example, precision)
        finally:
            for parameter in network.parameters():
                parameter.div_(1.001)


EXPORTED = module._exported


@pytest.mark.parametrize(
    ("export", "words", "kept"), [(broken, "no such operation", 0), (others_weights, "it differs from torch by", 1)]
)
def test_what_fails_or_disagrees_runs_in_torch(
    export: Callable[..., bytes], words: str, kept: int, checkpoints: dict[str, Path], stack: np.ndarray,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, empty_cache: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "_exported", export)
    with caplog.at_level(logging.WARNING):
        found = api.restore(stack, model=checkpoints["local"], **SETTINGS)
    np.testing.assert_allclose(
        found, api.restore(stack, model=checkpoints["local"], **SETTINGS | {"backend": "eager"}), rtol=0, atol=0.01
    )
    assert caplog.text.count("does not run in OpenVINO, and torch runs it as it is") == 1 and words in caplog.text
    assert len(list(empty_cache.glob("*"))) == kept
    if kept:  # nobody tries again, and a run that leaves it open is not given it
        predictor.release_predictors()
        monkeypatch.setattr(module, "_exported", lambda *_: pytest.fail("converted again"))
        api.restore(stack, model=checkpoints["local"], **SETTINGS)
        open_settings = {name: value for name, value in SETTINGS.items() if name != "backend"}
        assert api.plan(stack, model=checkpoints["local"], **open_settings).recipe.backend == "eager"


def test_a_file_that_openvino_cannot_read_falls_back(
    checkpoints: dict[str, Path], stack: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_exported", lambda *_: b"this is no network")
    api.restore(stack, model=checkpoints["local"], **SETTINGS)
    assert "does not run in OpenVINO" in caplog.text


def test_nothing_is_sent_about_its_use(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    """OpenVINO's own `convert_model` sends statistics unless a user has told it not to; its front end does not."""
    telemetry = pytest.importorskip("openvino_telemetry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(telemetry.Telemetry, "__init__", lambda *_, **__: pytest.fail("statistics are sent"))
        api.restore(stack, model=checkpoints["local"], **SETTINGS)
    assert "openvino" in sys.modules


def small() -> Model:
    given = operations.parameter([1, 4], np.float32)
    return Model([operations.relu(given)], [given])


FIRST_AT_ONCE = """
import sys, threading
import numpy as np, torch
from openvino import Core, Model, opset13 as operations
from napari_restore.engine.compute.backends.openvino import _Graph

sys.setswitchinterval(1e-6)  # threads take turns inside of what is initialised
given = operations.parameter([1, 4], np.float32)
content = Core().compile_model(Model([operations.relu(given)], [given]), "CPU").export_model().getvalue()
graph, ready = _Graph(content, "float32", 1), threading.Barrier(4)

def infer():
    graph._own.request = graph._compiled.create_infer_request()
    ready.wait()
    graph(np.ones((1, 4), np.float32))

lanes = [threading.Thread(target=infer, daemon=True) for _ in range(4)]
for lane in lanes:
    lane.start()
for lane in lanes:
    lane.join(30)
sys.exit(any(lane.is_alive() for lane in lanes))
"""


@pytest.mark.long
def test_lanes_that_begin_at_the_same_time_do_not_wait_for_each_other() -> None:
    """Without the inference before, several of such processes stand still, and one run of the benchmarks did."""
    for _ in range(15):
        assert subprocess.run([sys.executable, "-c", FIRST_AT_ONCE], check=False, timeout=120).returncode == 0


def test_the_first_inference_of_a_process_is_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    content = Core().compile_model(small(), "CPU").export_model().getvalue()
    module._infer_once.cache_clear()
    calls = []
    infer = InferRequest.infer
    monkeypatch.setattr(InferRequest, "infer", lambda *given, **named: calls.append(1) or infer(*given, **named))
    module._Graph(content, "float32", 1)
    assert calls == [1]
    module._Graph(content, "float32", 1)
    assert calls == [1]

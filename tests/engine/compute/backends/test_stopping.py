"""A network is stopped in the middle of a batch, and afterwards restores as before."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_restore import api
from napari_restore.engine.compute.backends.compiled import Compiled
from napari_restore.engine.compute.backends.stopping import check_stop, stoppable
from napari_restore.engine.compute.predictor import Predictor, predictor_for, release_predictors
from napari_restore.engine.hardware.compiling import can_compile
from napari_restore.engine.hardware.device import CPU
from napari_restore.errors import Cancelled
from napari_restore.models.zoo import find_card, load_weights
from napari_restore.networks.restormer import TransformerBlock
from napari_restore.networks.swin_layers import SwinLayer


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture(autouse=True)
def own_predictors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NAPARI_RESTORE_CACHE", str(tmp_path / "cache"))
    release_predictors()
    yield
    release_predictors()


def tile(side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).random((1, 1, side, side), np.float32)


@pytest.mark.parametrize(
    ("name", "layer"), [("restormer-denoise-light", TransformerBlock), ("swinir-denoise-light", SwinLayer)]
)
def test_no_layer_begins_after_the_stop(name: str, layer: type[nn.Module], stop: threading.Event) -> None:
    network = load_weights(find_card(name))
    predict = Predictor(network, CPU)
    begun: list[nn.Module] = []
    layers = [part for part in network.modules() if isinstance(part, layer)]

    def third(part: nn.Module, given: object) -> None:
        begun.append(part)
        if len(begun) == 3:
            stop.set()

    hooks = [part.register_forward_pre_hook(third) for part in layers]
    with pytest.raises(Cancelled):
        list(predict.stream([tile()], 1, stop=stop))
    assert len(layers) > 8 and len(begun) == 3
    for hook in hooks:
        hook.remove()
    np.testing.assert_array_equal(predict(tile(), 1), Predictor(load_weights(find_card(name)), CPU)(tile(), 1))


@pytest.mark.parametrize("backend", ["eager", "openvino"])
def test_a_long_batch_ends_early(backend: str, stop: threading.Event) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino", reason='OpenVINO is not installed: pip install "napari-restore[openvino]"')
    predict = predictor_for(find_card("swinir-denoise-light"), CPU, backend=backend)  # type: ignore[arg-type]
    large = np.repeat(tile(112), 6, axis=0)  # a second or more
    predict(large, 6)  # converts the network, or chooses kernels
    began = time.perf_counter()
    expected = predict(large, 6)
    whole = time.perf_counter() - began
    timer = threading.Timer(0.1 * whole, stop.set)
    began = time.perf_counter()
    timer.start()
    with pytest.raises(Cancelled):
        list(predict.stream([large], 6, stop=stop))
    assert time.perf_counter() - began < 0.7 * whole
    np.testing.assert_array_equal(predict(large, 6), expected)


def test_a_batch_that_waits_for_a_lane_does_not_begin(stop: threading.Event) -> None:
    network = load_weights(find_card("restormer-denoise-light"))
    predict, begun = Predictor(network, CPU), list[int]()
    network.register_forward_pre_hook(lambda part, given: begun.append(1) or stop.set())
    with pytest.raises(Cancelled):
        list(predict.stream([tile()] * 3, 1, stop=stop))
    assert len(begun) == 1


@pytest.mark.skipif(not can_compile(CPU), reason="there is no C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_a_stop_is_no_fault_of_the_compiler(stop: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    torch.manual_seed(0)
    blocks = [TransformerBlock(8, 2, 2.66, bias=False, layer_norm="BiasFree") for _ in range(3)]
    blocks[1].norm1.register_forward_pre_hook(lambda part, given: stop.set())
    network, begun = Compiled(nn.Sequential(*blocks).eval(), CPU), list[int]()
    blocks[2].register_forward_pre_hook(lambda part, given: begun.append(1))
    given = torch.rand(1, 8, 16, 16)
    with torch.inference_mode(), stoppable(stop), pytest.raises(Cancelled):
        network(given)
    assert stop.is_set() and not begun and network._state == "untried" and not caplog.records


def test_a_stop_is_no_fault_of_a_conversion(stop: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("openvino", reason='OpenVINO is not installed: pip install "napari-restore[openvino]"')
    caplog.set_level(logging.WARNING)
    predict = predictor_for(find_card("restormer-denoise-light"), CPU, backend="openvino")
    network = predict._network._network  # type: ignore[attr-defined]
    hook = network.encoder_level2[0].register_forward_pre_hook(lambda part, given: stop.set())
    with pytest.raises(Cancelled):
        list(predict.stream([tile()], 1, stop=stop))
    hook.remove()
    predict(tile(), 1)
    assert not caplog.records and list(predict._network._graphs.values()) != [None]  # type: ignore[attr-defined]


def test_what_waits_for_its_turn_is_stopped(stop: threading.Event) -> None:
    goes_on = threading.Event()

    class Waits(nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            goes_on.wait(60)
            return given

    predict = Predictor(Waits(), CPU)
    with ThreadPoolExecutor(1) as other:
        first = other.submit(lambda: list(predict.stream([tile()] * 9, 1)))
        while not predict._busy:
            time.sleep(0.01)
        for many in (False, True):  # one waits for a lane, the other for the end of the first stream
            stop.clear()
            threading.Timer(0.1, stop.set).start()
            with pytest.raises(Cancelled):
                list(predict.stream([tile()], 1, many=many, stop=stop))
        assert not first.done()
        goes_on.set()
        assert len(first.result()) == 9


def test_a_stream_that_is_left_ends_its_batches() -> None:
    network, begun = load_weights(find_card("restormer-denoise-light")), list[int]()
    predict = Predictor(network, CPU)
    layers = [part for part in network.modules() if isinstance(part, TransformerBlock)]
    entered, goes_on = threading.Event(), threading.Event()

    def first(part: nn.Module, given: object) -> None:
        begun.append(1)
        entered.set()
        goes_on.wait(60)

    def batches() -> Iterator[np.ndarray]:
        yield tile()
        assert entered.wait(60)
        raise OSError("the source is gone")

    for layer in layers:
        layer.register_forward_pre_hook(first)
    with pytest.raises(OSError, match="gone"):
        list(predict.stream(batches(), 1))
    goes_on.set()
    predict._lanes.shutdown(wait=True)
    assert len(begun) == 1


def test_a_stop_is_that_of_its_own_work(stop: threading.Event) -> None:
    stop.set()
    with pytest.raises(Cancelled), stoppable(stop):
        check_stop()
    check_stop()
    with stoppable(None):
        check_stop()


def test_a_part_that_is_stopped(stop: threading.Event) -> None:
    plan = api.plan(np.random.default_rng(0).poisson(100, (64, 64)).astype(np.uint16), model=api.DENOISER, device="cpu")
    wanted = (slice(0, 64), slice(0, 64))
    expected = api.part(plan, wanted)
    with pytest.raises(Cancelled, match="stopped"):
        api.part(plan, wanted, after_batch=lambda tiles: stop.set(), stop=stop)
    np.testing.assert_array_equal(api.part(plan, wanted, stop=threading.Event()), expected)

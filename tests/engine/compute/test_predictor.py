from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from napari_restore import api
from napari_restore.engine.compute import predictor
from napari_restore.engine.compute.predictor import MOST_LOADED, Predictor, predictor_for, release_predictors
from napari_restore.engine.hardware.device import CPU
from napari_restore.engine.hardware.devices import cores
from napari_restore.engine.run.cluster.worker import Run
from napari_restore.errors import OutOfMemory
from napari_restore.models.zoo import find_card, load_weights


class Recorder(torch.nn.Module):
    """Doubles its input; remembers batch sizes and threads; runs out of memory above a batch size."""

    def __init__(self, largest: int = 99) -> None:
        super().__init__()
        self.largest = largest
        self.batches: list[int] = []
        self.threads: set[str] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.largest:
            raise torch.OutOfMemoryError("no room")
        self.batches.append(len(x))
        self.threads.add(threading.current_thread().name)
        return x * 2


def tiles(count: int) -> np.ndarray:
    return np.random.default_rng(count).random((count, 1, 8, 8), np.float32)


def test_the_last_batch_is_padded() -> None:
    network = Recorder()
    predict = Predictor(network, CPU)
    for count in (4, 3, 1):
        np.testing.assert_array_equal(predict(tiles(count), 4), tiles(count) * 2)
    assert network.batches == [4, 4, 4]


def test_out_of_memory_halves_the_batch_for_good() -> None:
    network = Recorder(largest=3)
    predict = Predictor(network, CPU)
    np.testing.assert_array_equal(predict(tiles(8), 8), tiles(8) * 2)
    assert network.batches == [2, 2, 2, 2]
    predict(tiles(2), 8)
    assert network.batches == [2] * 5


def test_one_tile_too_many_fails_clearly() -> None:
    with pytest.raises(
        OutOfMemory, match="one tile of 8 x 8 pixels does not fit the memory of cpu; use a smaller tile"
    ):
        Predictor(Recorder(largest=0), CPU)(tiles(4), 4)


def test_other_errors_of_a_network_are_not_taken_for_memory() -> None:
    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        Predictor(Broken(), CPU)(tiles(1), 1)


def test_callers_on_many_threads_share_one_lane() -> None:
    network = Recorder()
    predict = Predictor(network, CPU)
    callers = [threading.Thread(target=predict, args=(tiles(2), 2)) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(network.threads) == 1 and len(network.batches) == 6


def test_a_stream_keeps_order_and_looks_one_batch_ahead() -> None:
    predict, asked = Predictor(Recorder(), CPU), []

    def batches() -> Iterator[np.ndarray]:
        for count in (1, 2, 3, 1, 2):
            asked.append(count)
            yield tiles(count)

    results = predict.stream(batches(), 3)
    np.testing.assert_array_equal(next(results), tiles(1) * 2)
    assert asked == [1, 2]
    for count, result in zip((2, 3, 1, 2), results, strict=True):
        np.testing.assert_array_equal(result, tiles(count) * 2)


def test_streams_of_many_batches_go_one_after_the_other() -> None:
    network = Recorder()
    predict = Predictor(network, CPU)
    began = predict.stream((tiles(n) for n in (1, 1, 1)), 2)
    next(began)
    later = threading.Thread(target=lambda: list(predict.stream((tiles(n) for n in (3, 3)), 3)))
    later.start()
    list(predict.stream([tiles(4)], 4, many=False))  # a preview does not wait
    assert network.batches == [2, 2, 4]
    list(began)
    later.join()
    assert network.batches == [2, 2, 4, 2, 3, 3]


def test_a_stream_that_is_closed_leaves_the_turn_to_others() -> None:
    predict = Predictor(Recorder(), CPU)
    began = predict.stream(iter([tiles(1)] * 5), 1)
    next(began)
    began.close()
    assert len(list(predict.stream([tiles(1)] * 2, 1))) == 2


def test_lanes_share_the_cores_and_change_nothing(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_restore.engine.compute.predictor.cores", lambda: 4)
    network = load_weights(find_card(checkpoints["denoiser"]))
    seen = []
    network.register_forward_hook(lambda *_: seen.append((threading.get_ident(), torch.get_num_threads())))
    predict = Predictor(network, CPU)
    expected = [predict(tiles(n + 1), 4, 4) for n in range(6)]
    results = list(predict.stream((tiles(n + 1) for n in range(6)), 4, 4))
    np.testing.assert_array_equal(np.concatenate(results), np.concatenate(expected))
    assert {threads for _, threads in seen} == {1}
    predict(tiles(1), 1, 2)
    assert seen[-1][1] == 2
    assert torch.get_num_threads() == 1, "of the thread that runs the tests, as it was"


def on_a_new_thread(call: Callable[[], Any]) -> Any:
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


@pytest.fixture
def two_cores() -> Iterator[None]:
    """As of a machine with two cores: what a user told torch is what counts."""
    release_predictors()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)
    release_predictors()


@pytest.mark.usefixtures("two_cores")
def test_runs_on_threads_of_their_own_have_all_cores(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    def lanes() -> str:
        result = np.zeros(stack.shape, stack.dtype)
        plan = api.plan(stack, axes="ZYX", model=checkpoints["denoiser"], device="cpu")
        for _ in api.run(plan, result):
            pass
        release_predictors()
        return plan.why["device"]

    assert [on_a_new_thread(lanes) for _ in range(2)] == ["2 concurrent batches with 1 thread each on 2 cores"] * 2
    assert on_a_new_thread(torch.get_num_threads) == 2, "for other programs of this process"
    torch.set_num_threads(3)  # also between two runs
    assert on_a_new_thread(cores) == 3


@pytest.mark.usefixtures("two_cores")
def test_a_run_on_a_worker_has_the_threads_that_it_is_told(checkpoints: dict[str, Path]) -> None:
    card = find_card(checkpoints["denoiser"])
    predictor_for(card, CPU)(tiles(1), 1, 2)  # of an earlier run
    run = Run("plan", "sink", at_once=1, threads=3)
    run.setup(SimpleNamespace(address="tcp://127.0.0.1:9"))
    torch.get_num_threads()  # a thread that knows torch already
    assert on_a_new_thread(run.open) == ("plan", "sink")
    seen = []
    predictor = predictor_for(card, CPU)
    predictor._network._network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    predictor(tiles(1), 1)
    assert seen == [3]
    run._wait_until_idle()
    assert cores() == on_a_new_thread(cores) == 2


def test_a_model_is_loaded_once(checkpoints: dict[str, Path]) -> None:
    card = find_card(checkpoints["local"])
    assert predictor_for(card, CPU) is predictor_for(card, CPU)
    assert predictor_for(card, CPU, "bfloat16") is not predictor_for(card, CPU)


def test_bfloat16_is_near(checkpoints: dict[str, Path]) -> None:
    card = find_card(checkpoints["local"])
    exact, rough = (predictor_for(card, CPU, precision)(tiles(2), 2) for precision in ("float32", "bfloat16"))
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()


def test_models_that_are_released_are_gone(checkpoints: dict[str, Path]) -> None:
    card = find_card(checkpoints["denoiser"])
    predictor = predictor_for(card, CPU)
    predictor(tiles(1), 1)
    gone = weakref.ref(predictor)
    release_predictors()
    assert gone() is predictor  # who holds it goes on with it
    del predictor
    assert gone() is None
    assert predictor_for(card, CPU)(tiles(1), 1).shape == tiles(1).shape


def test_a_plan_is_the_only_way_to_a_network() -> None:
    """Who loads one by its card has to remember precision, device and compiling; three of six callers did not."""
    package = Path(predictor.__file__).parents[2]
    named = [p.name for p in package.rglob("*.py") if "predictor_for(" in p.read_text(encoding="utf-8")]
    assert named == ["predictor.py"]


def test_threads_of_a_lane_are_those_of_the_recipe(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_restore.engine.compute.predictor.cores", lambda: 4)
    network, seen = load_weights(find_card(checkpoints["denoiser"])), []
    network.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    predict = Predictor(network, CPU)
    for lanes, threads in ((1, 1), (4, 2), (1, 3), (2, None)):
        list(predict.stream([tiles(1)] * 3, 1, lanes, threads))
    assert seen == 3 * [1] + 3 * [2] + 3 * [3] + 3 * [2]


def test_models_that_are_not_used_make_room(checkpoints: dict[str, Path]) -> None:
    release_predictors()
    cards = [find_card(checkpoints["denoiser"]).model_copy(update={"title": str(n)}) for n in range(MOST_LOADED + 3)]
    before = threading.active_count()
    for card in cards:
        predictor_for(card, CPU)(tiles(1), 1)
    gc.collect()
    assert threading.active_count() - before <= MOST_LOADED
    assert predictor_for(cards[-1], CPU) is predictor_for(cards[-1], CPU)
    release_predictors()

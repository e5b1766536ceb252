"""The order of copies and computations on a GPU, by a stand-in that knows which orders are safe."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stand_in_gpu import OnStandIn, StandIn, Work, stand_in_gpu

from napari_restore import api
from napari_restore.engine.compute import lost_devices, predictor
from napari_restore.engine.compute.gpu import copies
from napari_restore.engine.compute.predictor import Predictor
from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.run.local import run_blocks
from napari_restore.engine.store.sinks import ArraySink
from napari_restore.models.zoo import find_card, load_weights

GPU = Device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with stand_in_gpu(monkeypatch) as found:
        yield found


class Doubles(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def tiles(count: int) -> np.ndarray:
    return np.random.default_rng(count).random((count, 1, 16, 16), np.float32)


def restored(graph: bool = False, device: Device = GPU) -> list[np.ndarray]:
    batches = (tiles(count) for count in (4, 3, 4, 1))
    return list(Predictor(OnStandIn(Doubles(), graph=graph), device).stream(batches, 4))


@pytest.mark.parametrize("graph", [False, True], ids=["a result each", "one memory for all results"])
@pytest.mark.parametrize("name", ["denoiser", "local", "upscaler"])
def test_networks_give_the_same_in_a_safe_order(
    gpu: StandIn, checkpoints: dict[str, Path], name: str, graph: bool
) -> None:
    network = load_weights(find_card(checkpoints[name])).eval()
    expected = [Predictor(network, CPU)(tiles(count), 3) for count in (3, 2)]
    predict = Predictor(OnStandIn(network, graph=graph), GPU)
    for found, wanted in zip(predict.stream((tiles(count) for count in (3, 2)), 3), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)  # other kernels than those of a CPU
    assert gpu.faults == []


def test_the_order_is_safe(gpu: StandIn) -> None:
    for graph in (False, True):
        for found, count in zip(restored(graph), (4, 3, 4, 1), strict=True):
            np.testing.assert_array_equal(found, tiles(count) * 2)
    assert gpu.faults == []


def works(gpu: StandIn, what: str) -> list[Work]:
    return [work for work in gpu.works if work.what == what]


def test_copies_overlap_with_the_computation_of_other_batches(gpu: StandIn) -> None:
    """A wait too many is right, and makes copies and computation take turns."""
    restored()
    incoming, computed = works(gpu, "copy in"), works(gpu, "aten.mul.Tensor")
    outgoing = [work for work in works(gpu, "aten.copy_.default") if work.where != computed[0].where]
    assert len(incoming) == len(computed) == len(outgoing) == 4
    assert works(gpu, "copy in that the host waits for") == []
    for batch in range(4):
        assert computed[batch].before.get(incoming[batch].where, 0) >= incoming[batch].number
        assert outgoing[batch].before.get(computed[batch].where, 0) >= computed[batch].number
    computing, into, out = computed[0].where, incoming[0].where, outgoing[0].where
    # The lane waits for nothing; the caller waits for results only.
    assert gpu.waits == {(computing, into), (out, computing), (gpu.host(), "an event")} and into != out


def test_out_of_memory_halves_the_batch_and_leaves_the_order_safe(gpu: StandIn) -> None:
    class Small(Doubles):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            held = super().forward(x)  # the batch that does not fit has been copied, and partly computed
            if len(x) > 2:
                raise torch.OutOfMemoryError("no room")
            return held

    predict = Predictor(OnStandIn(Small()), GPU)
    for found, count in zip(predict.stream((tiles(count) for count in (8, 5, 8)), 8), (8, 5, 8), strict=True):
        np.testing.assert_array_equal(found, tiles(count) * 2)
    assert predict.largest_batch == 2 and gpu.emptied == 2 and gpu.faults == []


def test_each_gpu_has_its_own_streams(gpu: StandIn) -> None:
    first, second = (Predictor(OnStandIn(Doubles()), Device("cuda", index)) for index in (0, 1))
    streams = [predict.stream((tiles(count) for count in (2, 1, 2)), 2) for predict in (first, second)]
    for results in zip(*streams, (2, 1, 2), strict=True):
        for found in results[:2]:
            np.testing.assert_array_equal(found, tiles(results[2]) * 2)
    assert gpu.faults == []
    for device in ("cuda:0", "cuda:1"):
        mine = [work for work in gpu.works if work.where.startswith(device)]
        assert len(mine) == len(gpu.works) / 2
        assert not [name for work in mine for name in work.before if name.startswith("cuda") and device not in name]


def test_a_run_on_a_gpu_that_is_lost_ends_on_the_cpu(
    gpu: StandIn, checkpoints: dict[str, Path], stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"axes": "ZYX", "value_range": (0, 1000), "shards": (1, 64, 64), "chunks": (1, 64, 64), "workers": 1}
    plan = api.plan(stack, model=checkpoints["local"], device="cpu", precision="float32", backend="eager", **settings)
    expected = ArraySink(plan)
    list(run_blocks(plan, expected))
    network = load_weights(plan.card).eval()
    calls = 0

    class Dies(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            nonlocal calls
            calls += 1
            if calls > 5:
                raise RuntimeError("CUDA error: unspecified launch failure")
            return network(x)  # type: ignore[no-any-return]

    on_gpu, of_plan = Predictor(OnStandIn(Dies()), GPU), predictor.predictor_of

    def chosen(plan: Plan, device: Device = GPU) -> Predictor:
        return on_gpu if device == GPU else of_plan(plan, CPU)

    monkeypatch.setattr("napari_restore.engine.compute.block.predictor_of", chosen)
    monkeypatch.setattr("napari_restore.engine.run.local.predictor_of", chosen)
    monkeypatch.setattr(lost_devices, "_lost", set())
    recipe = plan.recipe.model_copy(update={"device": "cuda:0"})
    sink, receipts = ArraySink(replace(plan, recipe=recipe, spares=(CPU,))), []
    list(run_blocks(sink.plan, sink, receipts.append))
    assert {receipt.device for receipt in receipts} == {"cuda:0", "cpu"} and gpu.faults == []
    assert np.abs(sink.array.astype(int) - expected.array).max() <= 1


MISTAKES = {
    "the computation does not wait for the copy": (
        "        torch.cuda.current_stream(self.device).wait_stream(self.incoming)\n", "",
    ),
    "what is copied in is forgotten while the network reads it": ("(*used, *results, *pinned)", "(*results, *pinned)"),
    "the copy out does not wait for the computation": (
        "        self.outgoing.wait_stream(torch.cuda.current_stream(self.device))\n", "",
    ),
    "the result is forgotten while it is copied out": ("(*used, *results, *pinned)", "(*used, *pinned)"),
    "memory that is copied in is used again at once": (
        "        return pinned, copied\n",
        "        now = torch.cuda.Event()\n"
        "        self._keep(now, pinned)\n"
        "        return pinned, copied\n",
    ),
    "the event is recorded on another stream": (
        "arrived.record(self.outgoing)", "arrived.record(torch.cuda.current_stream(self.device.type + ':1'))",
    ),
    "the event is recorded before the copy": (
        "            for host, each in zip(hosts, results, strict=True):\n"
        "                host.copy_(each, non_blocking=True)\n"
        "            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]\n"
        "            arrived.record(self.outgoing)\n",
        "            arrived = torch.cuda.Event()\n"
        "            arrived.record(self.outgoing)\n"
        "            for host, each in zip(hosts, results, strict=True):\n"
        "                host.copy_(each, non_blocking=True)\n",
    ),
    "the host does not wait": (
        "            self._arrived.synchronize()\n        found", "            pass\n        found",
    ),
    "all copies on one stream that waits for the computation of the batch before": (
        "        self.outgoing = torch.cuda.Stream(device)", "        self.outgoing = self.incoming",
    ),
    "memory that is not pinned": ("pinned.to(self.device", "torch.tensor(array).to(self.device"),
}  # fmt: skip


def test_a_result_that_is_overwritten_by_the_next_is_copied(gpu: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda *given, copy=False, **named: plain(*given, **named))
    restored(graph=True)
    assert gpu.faults


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    right, wrong = MISTAKES[mistake]
    source = inspect.getsource(copies)
    assert source.count(right) == 1
    namespace: dict[str, Any] = {}
    exec(source.replace(right, wrong), namespace)
    monkeypatch.setattr(predictor, "Copies", namespace["Copies"])
    checks: tuple[Callable[[StandIn], None], ...] = (
        test_the_order_is_safe, test_copies_overlap_with_the_computation_of_other_batches,
    )  # fmt: skip
    found = []
    for check in checks:
        with stand_in_gpu(monkeypatch) as gpu:
            try:
                check(gpu)
            except AssertionError as error:
                found.append((error, gpu.faults))
    assert found

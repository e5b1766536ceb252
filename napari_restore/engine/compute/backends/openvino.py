"""Run a network in OpenVINO: it is converted for each shape of tiles, and compared with torch before it is used."""

from __future__ import annotations

import io
import logging
import threading
import time
import warnings
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_restore.engine.compute.backends.backend import Backend, Eager
from napari_restore.engine.compute.backends.stopping import TICK, check_stop
from napari_restore.engine.hardware.backends import openvino_version
from napari_restore.engine.hardware.converted import Conversion, find_converted, keep_converted, refuse
from napari_restore.engine.hardware.devices import cores
from napari_restore.engine.hardware.precision import BFLOAT16_ERROR
from napari_restore.errors import Cancelled
from napari_restore.models.card import ModelCard
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR

__all__ = ["FLOAT32_ERROR", "OpenVINO"]

_log = logging.getLogger(__name__)

FLOAT32_ERROR = 1e-5
"""Largest accepted difference from torch in float32, as a share of the range."""
_converting = threading.Lock()
"""Tracing changes global state of torch, so only one network is converted at a time."""
_preparing = threading.Lock()
"""The first inference of a process is to be over before any other begins."""


class OpenVINO(Backend):
    """A network that OpenVINO runs. It is converted at the first batch of each shape.

    A conversion takes seconds and is stored on this machine (`napari_restore.engine.hardware.converted`). It is
    compared with torch before it is stored. If it fails or disagrees, it is never used: torch runs the network, which
    is logged, and a disagreement is stored too.

    A thread that calls it has subnormal numbers flushed to zero from then on, as the threads of a `Predictor` have.

    Parameters
    ----------
    network : Restormer or SwinIR
        Network with its weights, on the CPU.
    eager : Eager
        The same network in torch, in the same precision.
    card : ModelCard
        Card of the model.
    precision : {"float32", "bfloat16"}
        Precision of the network.
    """

    def __init__(self, network: Restormer | SwinIR, eager: Eager, card: ModelCard, precision: str) -> None:
        self._network, self._eager, self._card, self._precision = network, eager, card, precision
        self._graphs: dict[tuple[tuple[int, ...], int], _Graph | None] = {}
        self._loading = threading.Lock()

    def __call__(self, tiles: Tensor) -> Tensor:
        graph = self._graph(tuple(tiles.shape), torch.get_num_threads())
        return self._eager(tiles) if graph is None else self._through(graph, tiles)

    def _through(self, graph: _Graph, tiles: Tensor) -> Tensor:
        """Run the first and the last convolution in torch: OpenVINO would run them in bfloat16 as well."""
        features = torch.from_numpy(graph(self._network.first(tiles).contiguous().numpy()))
        return self._network.last(features, tiles)

    def _graph(self, shape: tuple[int, ...], threads: int) -> _Graph | None:
        """Return the network for a shape of a batch and the threads of a lane; None if torch has to run it."""
        with self._loading:  # other lanes wait until it is loaded
            if (shape, threads) not in self._graphs:
                self._graphs[shape, threads] = self._loaded(shape, threads)
            return self._graphs[shape, threads]

    def _loaded(self, shape: tuple[int, ...], threads: int) -> _Graph | None:
        conversion = Conversion(self._card, shape, self._precision, openvino_version() or "")
        try:
            there = find_converted(conversion)
            if there is None:
                return self._converted(conversion, threads)
            if not there.refused:
                return _Graph(there.content, self._precision, threads)
            reason = there.refused
        except Cancelled:
            raise
        except _Disagrees as error:
            reason = str(error)
            refuse(conversion, reason)
        except Exception as error:  # OpenVINO raises errors of many types
            reason = " ".join(str(error).split())[:300] or repr(error)
        _log.warning("%s does not run in OpenVINO, and torch runs it as it is: %s", self._card.name, reason)
        return None

    def _converted(self, conversion: Conversion, threads: int) -> _Graph:
        """Convert the network, compare it with torch, and store it."""
        began = time.perf_counter()
        with _converting, torch.inference_mode(False), torch.no_grad():
            example = _example(conversion.shape)
            content = _exported(_Inner(self._network), self._network.first(example).contiguous(), self._precision)
            graph = _Graph(content, self._precision, threads)
            self._check(graph, example)
        keep_converted(conversion, graph.content)
        _log.info("%s was converted for OpenVINO in %.1f s", self._card.name, time.perf_counter() - began)
        return graph

    def _check(self, graph: _Graph, example: Tensor) -> None:
        """Compare the result of an example with that of torch in float32.

        Raises
        ------
        _Disagrees
            If the largest error in float32 exceeds `FLOAT32_ERROR`, or the root mean square error in bfloat16 exceeds
            `BFLOAT16_ERROR`.
        """
        expected = self._network(example)
        apart = (self._through(graph, example) - expected).double()
        span = max(1.0, float(expected.abs().max()))
        if self._precision == "float32":
            largest = float(apart.abs().max())
            if not largest <= FLOAT32_ERROR * span:
                raise _Disagrees(f"it differs from torch by {largest:.1e}")
            return
        mean = float(apart.square().mean().sqrt())
        if not mean <= BFLOAT16_ERROR * span:
            raise _Disagrees(f"in bfloat16 it differs from torch in float32 by {mean:.1e}, root mean square")


class _Inner(nn.Module):
    """A network without its first and its last convolution."""

    def __init__(self, network: Restormer | SwinIR) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        return self.network.inner(features)


class _Disagrees(Exception):
    """The result of a converted network differs from that of torch."""


class _Graph:
    """A network that OpenVINO has compiled for one shape of batches, with an inference request for each thread."""

    def __init__(self, content: bytes, precision: str, threads: int) -> None:
        lanes = max(1, cores() // threads)
        self.content = content
        self._compiled: Any = _core().import_model(io.BytesIO(content), "CPU", _settings(precision, lanes, threads))
        self._own = threading.local()

    def __call__(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request = self._own.request
        request.start_async([tiles], share_inputs=True)
        try:
            while not request.wait_for(round(1000 * TICK)):
                check_stop()
        except Cancelled:
            request.cancel()
            with suppress(RuntimeError):  # that it was cancelled
                request.wait()
            raise
        result: NDArray[np.float32] = request.results[0]
        return result.copy()


@cache
def _infer_once() -> None:
    """Run a small network on one thread, before any on several.

    The first inference of a process initialises variables of OpenVINO's Python module. Two threads that do so at the
    same time wait for each other for ever: one holds Python's lock, and the other one that of the variables.
    """
    from openvino import Core, Model
    from openvino import opset13 as operations

    with _preparing:
        given = operations.parameter([1, 1], np.float32)
        model = Core().compile_model(Model([operations.relu(given)], [given]), "CPU", _settings("float32", 1, 1))
        request = model.create_infer_request()
        request.infer([np.zeros((1, 1), np.float32)], share_inputs=True)[0].copy()


def _core() -> Any:
    """Return OpenVINO's entry point, after the first inference of this process."""
    from openvino import Core

    _infer_once()
    return Core()


def _settings(precision: str, lanes: int, threads: int) -> dict[str, Any]:
    """Return the settings of OpenVINO: one stream for each lane; no stream is pinned to a core."""
    return {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": lanes * threads, "ENABLE_CPU_PINNING": False,
        "CPU_DENORMALS_OPTIMIZATION": True,
    }  # fmt: skip


def _exported(network: nn.Module, example: Tensor, precision: str) -> bytes:
    """Convert a network for inputs of one shape to the bytes that `Core.import_model` reads.

    OpenVINO's `convert_model` is not used, because it sends usage statistics unless the user has opted out.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    network(example)  # computes the cached masks for this size first, so that the trace contains them as constants
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trace is for one size; torch.jit is deprecated
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # the frontend does not keep it alive
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(example.shape))
    compiled = _core().compile_model(model, "CPU", _settings(precision, 1, 1))
    return compiled.export_model().getvalue()  # type: ignore[no-any-return]


def _example(shape: tuple[int, ...]) -> Tensor:
    """Return an image in [0, 1): a ramp with noise, always the same."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return 0.4 * noise + 0.6 * torch.linspace(0, 1, shape[-1])

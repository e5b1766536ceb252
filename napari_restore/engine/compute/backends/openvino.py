"""OpenVINO: the network converted for tiles of one shape, checked against torch before it is used."""

from __future__ import annotations

import io
import logging
import threading
import time
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_restore.engine.compute.backends.backend import Backend, Eager
from napari_restore.engine.hardware.backends import openvino_version
from napari_restore.engine.hardware.converted import Conversion, find_converted, keep_converted, refuse
from napari_restore.engine.hardware.devices import cores
from napari_restore.engine.hardware.precision import BFLOAT16_ERROR
from napari_restore.models.card import ModelCard
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR

__all__ = ["FLOAT32_ERROR", "OpenVINO"]

_log = logging.getLogger(__name__)

FLOAT32_ERROR = 1e-5
"""Largest difference from torch in float32, as a share of the range."""
_converting = threading.Lock()
"""Tracing changes torch's own state, so one network is converted at a time."""


class OpenVINO(Backend):
    """The network converted by OpenVINO, for each shape of tiles when it is first met.

    A conversion takes seconds and is kept on this machine (`napari_restore.engine.hardware.converted`), for later
    processes. It is compared with torch before it is kept: one that fails or disagrees is never used, which is logged
    and kept as well, and torch runs the network as it is.

    Parameters
    ----------
    network
        With its weights, on the CPU.
    eager
        That network in torch, in the same precision.
    card
        Of the model.
    precision : {"float32", "bfloat16"}
        Of the network.
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
        """Give the network for a shape of tiles and the threads of a lane; None where torch has to do."""
        with self._loading:  # other lanes wait until it is there
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
        except _Disagrees as error:
            reason = str(error)
            refuse(conversion, reason)
        except Exception as error:  # of whatever kind a library of another language raises
            reason = " ".join(str(error).split())[:300] or repr(error)
        _log.warning("%s does not run in OpenVINO, and torch runs it as it is: %s", self._card.name, reason)
        return None

    def _converted(self, conversion: Conversion, threads: int) -> _Graph:
        """Convert the network, compare it with torch, and keep it."""
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
        """Compare with torch in float32.

        Raises
        ------
        _Disagrees
            If float32 is further off than `FLOAT32_ERROR`, or bfloat16 costs more than a card may lose.
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
    """A converted network gives something else than torch."""


class _Graph:
    """A network that OpenVINO has compiled for one shape, with a request for each thread that calls it."""

    def __init__(self, content: bytes, precision: str, threads: int) -> None:
        from openvino import Core

        lanes = max(1, cores() // threads)
        self.content = content
        self._compiled: Any = Core().import_model(io.BytesIO(content), "CPU", _settings(precision, lanes, threads))
        self._own = threading.local()

    def __call__(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        result: NDArray[np.float32] = self._own.request.infer([tiles], share_inputs=True)[0]
        return result.copy()


def _settings(precision: str, lanes: int, threads: int) -> dict[str, Any]:
    """OpenVINO's settings: as many streams as lanes, none of which is bound to a core that others use."""
    return {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": lanes * threads, "ENABLE_CPU_PINNING": False,
        "CPU_DENORMALS_OPTIMIZATION": True,
    }  # fmt: skip


def _exported(network: nn.Module, example: Tensor, precision: str) -> bytes:
    """Convert a network for inputs of one shape, and give what `Core.import_model` reads.

    Not by OpenVINO's `convert_model`, which sends statistics of its use unless a user has told it not to.
    """
    from openvino import Core
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    network(example)  # what depends on the size of an image is made before, and the trace holds it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the trace is for one size, and that torch.jit has successors
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # the frontend does not keep it alive
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(example.shape))
    compiled = Core().compile_model(model, "CPU", _settings(precision, 1, 1))
    return compiled.export_model().getvalue()  # type: ignore[no-any-return]


def _example(shape: tuple[int, ...]) -> Tensor:
    """An image in [0, 1): noise over a ramp, the same one each time."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return 0.4 * noise + 0.6 * torch.linspace(0, 1, shape[-1])

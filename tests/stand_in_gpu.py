"""A stand-in for a GPU: it computes on the CPU, and checks that streams, events and copies are in a safe order.

A GPU runs the work of a stream in order, and the work of two streams in any order that events do not rule out. Memory
of a tensor that is gone is used again by the stream on which it was allocated. A wrong order gives right results nearly
always, so the results of a GPU do not show a mistake. The stand-in does: it keeps a vector clock for each stream and
each thread of the host (Fidge 1988, Mattern 1989), and notes a fault where two accesses to the same memory, of which
one writes, have no order, or where memory is used again before a stream is known to have finished with it.

Tensors "on the GPU" are of a class of their own with ``device`` "cuda:0"; networks keep their weights on the CPU.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from napari_restore.engine.compute.backends.backend import Backend

Clock = dict[str, int]
"""Number of works of each stream that are known to be done."""


@dataclass
class Access:
    """Work of a stream, or of a thread of the host, that reads or writes memory."""

    where: str
    number: int
    what: str
    writes: bool

    def is_before(self, clock: Clock) -> bool:
        return clock.get(self.where, 0) >= self.number


@dataclass
class Work:
    """A copy or a computation, and what is known to be done before it."""

    what: str
    where: str
    number: int
    before: Clock


@dataclass(eq=False)
class Memory:
    """Memory of tensors that share it."""

    gpu: StandIn
    stream: str
    pinned: bool
    accesses: list[Access] = field(default_factory=list)

    def __del__(self) -> None:
        self.gpu.freed(self)


class Stream:
    """`torch.cuda.Stream`."""

    def __init__(self, gpu: StandIn, device: torch.device, name: str) -> None:
        self.gpu, self.device, self.name = gpu, device, f"{device}/{name}"

    def wait_stream(self, other: Stream) -> None:
        self.gpu.waits.add((self.name, other.name))
        self.gpu.join(self.name, self.gpu.now(other.name))

    def wait_event(self, event: Event) -> None:
        self.gpu.join(self.name, event.clock)

    def synchronize(self) -> None:
        self.gpu.join(self.gpu.host(), self.gpu.now(self.name))


class Event:
    """`torch.cuda.Event`."""

    def __init__(self, gpu: StandIn) -> None:
        self.gpu, self.clock, self.arrived = gpu, Clock(), False

    def record(self, stream: Stream) -> None:
        self.clock = dict(self.gpu.now(stream.name))

    def synchronize(self) -> None:
        if not self.arrived:
            self.gpu.waits.add((self.gpu.host(), "an event"))
        self.arrived = True
        self.gpu.join(self.gpu.host(), self.clock)


class Held(torch.Tensor):
    """A tensor in the memory of the stand-in, or in pinned memory of the host."""

    values: torch.Tensor
    memory: Memory

    @staticmethod
    def __new__(cls, values: torch.Tensor, memory: Memory) -> Held:
        held: Held = torch.Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), storage_offset=values.storage_offset(), dtype=values.dtype
        )
        held.values, held.memory = values, memory
        return held

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cpu" if self.memory.pinned else self.memory.stream.partition("/")[0])

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return not self.memory.pinned

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return StandIn.of(args, kwargs).run(func, args, kwargs or {})

    def numpy(self, **_: Any) -> np.ndarray:
        assert self.memory.pinned, "a tensor of a GPU has no numpy array"
        # The host may write to the array, too.
        self.memory.gpu.access(self.memory, self.memory.gpu.host(), "the host reads or writes", writes=True)
        return self.values.numpy()


class StandIn:
    """One or several GPUs.

    Attributes
    ----------
    faults : list of str
        What was found.
    works : list of Work
        Copies and computations, in the order in which they were started.
    waits : set of (str, str)
        Which stream has waited for which, and which threads of the host for events that no other had waited for.
    emptied : int
        Number of calls of `torch.cuda.empty_cache`.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.works: list[Work] = []
        self.waits: set[tuple[str, str]] = set()
        self.emptied = 0
        self._clocks: dict[str, Clock] = defaultdict(dict)
        self._own = threading.local()
        self._lock = threading.RLock()
        self._count = 0

    @staticmethod
    def of(*arguments: Any) -> StandIn:
        found: list[Held] = []
        tree_map_only(Held, found.append, arguments)
        return found[0].memory.gpu

    # Order.

    def host(self) -> str:
        return f"host/{threading.get_ident()}"

    def now(self, where: str) -> Clock:
        return self._clocks[where]

    def join(self, where: str, clock: Clock) -> None:
        with self._lock:
            mine = self._clocks[where]
            for name, number in clock.items():
                mine[name] = max(number, mine.get(name, 0))

    def start(self, where: str, what: str) -> Work:
        """Put work on a stream: what this thread of the host has waited for is done before it."""
        with self._lock:
            self.join(where, self._clocks[self.host()])
            mine = self._clocks[where]
            mine[where] = mine.get(where, 0) + 1
            self.works.append(Work(what, where, mine[where], dict(mine)))
            return self.works[-1]

    def access(self, memory: Memory, where: str, what: str, *, writes: bool) -> None:
        with self._lock:
            clock = self._clocks[where]
            for other in memory.accesses:
                if (writes or other.writes) and other.where != where and not other.is_before(clock):
                    self.faults.append(f"{what} ({where}) does not wait for: {other.what} ({other.where})")
            memory.accesses.append(Access(where, clock.get(where, 0), what, writes))

    def freed(self, memory: Memory) -> None:
        """Pinned memory goes back to the system at once; memory of a GPU is used again by its stream."""
        with self._lock:
            # Work that reuses it is started later, by a host that knows what this thread has waited for.
            host, clock = self._clocks[self.host()], self._clocks[memory.stream]
            for access in memory.accesses:
                if access.where != memory.stream and not access.is_before(clock) and not access.is_before(host):
                    self.faults.append(f"memory of {memory.stream} is reused before: {access.what} ({access.where})")

    # Tensors.

    def stream(self, device: torch.device) -> Stream:
        chosen = getattr(self._own, "streams", {})
        return chosen.get(device) or Stream(self, device, "default")

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Compute on the CPU, and note what is read and written on the current stream."""
        held: list[Held] = []
        tree_map_only(Held, held.append, (args, kwargs))
        on_gpu = next((each for each in held if not each.memory.pinned), None)
        where = self.host() if on_gpu is None else self.stream(on_gpu.device).name
        values = tree_map_only(Held, lambda each: each.values, (args, kwargs))
        result = func(*values[0], **{**values[1], **({"device": "cpu"} if "device" in kwargs else {})})
        if not func.is_view and on_gpu is not None:
            self.start(where, str(func))
        written = [
            given for given, argument in zip(args, func._schema.arguments, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write and isinstance(given, Held)
        ]  # fmt: skip
        written += [each for each in (kwargs.get("out"),) if isinstance(each, Held)]
        if not func.is_view:
            for each in held:
                self.access(each.memory, where, str(func), writes=any(each is other for other in written))
        known = {each.values.untyped_storage().data_ptr(): each.memory for each in held}

        def kept(value: torch.Tensor) -> Held:
            memory = known.get(value.untyped_storage().data_ptr())
            if memory is None:
                memory = Memory(self, where, pinned=on_gpu is None)
                self.access(memory, where, str(func), writes=True)
            return Held(value, memory)

        for target in written:
            if result is target.values:
                return target
        return tree_map_only(torch.Tensor, kept, result)

    def to_gpu(self, source: torch.Tensor, device: torch.device, *, non_blocking: bool) -> Held:
        """Copy from the host to the current stream of a GPU."""
        pinned = isinstance(source, Held)
        where = self.stream(device).name
        work = self.start(where, "copy in" if pinned and non_blocking else "copy in that the host waits for")
        memory = Memory(self, where, pinned=False)
        if isinstance(source, Held):
            self.access(source.memory, where, work.what, writes=False)
        self.access(memory, where, work.what, writes=True)
        return Held((source.values if isinstance(source, Held) else source).clone(), memory)

    def made(self, what: str, values: torch.Tensor, device: torch.device) -> Held:
        """Make a tensor on the current stream of a GPU."""
        where = self.stream(device).name
        memory = Memory(self, where, pinned=False)
        self.start(where, what)
        self.access(memory, where, what, writes=True)
        return Held(values, memory)

    def pinned(self, values: torch.Tensor) -> Held:
        memory = Memory(self, self.host(), pinned=True)
        return Held(values, memory)


class OnStandIn(Backend):
    """A network, with its weights on the CPU, for batches on the stand-in.

    With `graph`, the result is always in the same memory, as that of a CUDA graph is.
    """

    def __init__(self, network: nn.Module, *, graph: bool = False) -> None:
        self.network, self.graph = network, graph
        self._result: torch.Tensor | None = None

    def __call__(self, tiles: torch.Tensor) -> torch.Tensor:
        assert tiles.is_cuda
        result: torch.Tensor = self.network(tiles)
        if not self.graph:
            return result
        if self._result is None:
            self._result = result
        return self._result if result is self._result else self._result.copy_(result)


@contextmanager
def stand_in_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Replace the functions of torch that copy and order work on a GPU by those of a stand-in."""
    gpu = StandIn()
    plain_to, plain_from = torch.Tensor.to, torch.from_numpy

    def to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        given = kwargs.get("device", args[0] if args else None)
        target = torch.device(given) if isinstance(given, str | torch.device) else None
        if target is None or target.type != "cuda" or tensor.is_cuda:
            return plain_to(tensor, *args, **kwargs)
        return gpu.to_gpu(tensor, target, non_blocking=kwargs.get("non_blocking", False))

    def making(name: str) -> Callable[..., torch.Tensor]:
        plain = getattr(torch, name)

        def make(*args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
            target = torch.device(device or "cpu")
            if target.type != "cuda":
                made: torch.Tensor = plain(*args, device=target, **kwargs)
                return made
            return gpu.made(name, plain(*args, **kwargs), target)

        return make

    registered: set[int] = set()

    class Runtime:
        """`torch.cuda.cudart`."""

        @staticmethod
        def cudaHostRegister(address: int, size: int, flags: int) -> int:
            registered.add(address)
            return 0

        @staticmethod
        def cudaHostUnregister(address: int) -> int:
            registered.discard(address)
            return 0

    def from_numpy(array: np.ndarray) -> torch.Tensor:
        made = plain_from(array)
        return gpu.pinned(made) if array.ctypes.data in registered else made

    @contextmanager
    def stream(chosen: Stream) -> Iterator[None]:
        before = getattr(gpu._own, "streams", {})
        gpu._own.streams = {**before, chosen.device: chosen}
        try:
            yield
        finally:
            gpu._own.streams = before

    def new_stream(device: torch.device) -> Stream:
        gpu._count += 1
        return Stream(gpu, torch.device(device), f"stream {gpu._count}")

    def emptied() -> None:
        gpu.emptied += 1

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "to", to)
        patch.setattr(torch, "from_numpy", from_numpy)
        patch.setattr(torch, "empty", making("empty"))
        patch.setattr(torch, "zeros", making("zeros"))
        patch.setattr(torch.cuda, "cudart", Runtime)
        patch.setattr(torch.cuda, "Stream", new_stream)
        patch.setattr(torch.cuda, "Event", lambda *_, **__: Event(gpu))
        patch.setattr(torch.cuda, "current_stream", gpu.stream)
        patch.setattr(torch.cuda, "stream", stream)
        patch.setattr(torch.cuda, "empty_cache", emptied)
        yield gpu

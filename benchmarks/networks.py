"""Compare our networks with the authors' own, as spandrel packages them: speed, agreement, memory, lower bound.

    tox -e oracle --notest && PYTHONPATH=tests .tox/oracle/bin/python -m benchmarks.networks
    ... -m benchmarks.networks --backend openvino    # for which `pip install openvino` there

Networks have the names of their models, bundled or published (``napari-restore models`` lists them); ``all`` stands
for all of them. If spandrel is not installed, or with ``--alone``, ours in eager float32 replace the authors'.

Both have the same weights and the same input, and take turns in one process, so other load of the
machine affects both. The ratio is that of the best times, theirs to ours; theirs is always float32, since that is what
their scripts run (on a GPU with TF32 in convolutions, which torch has by default and ours do not use; with
``--theirs compiled-bfloat16``, theirs run in bfloat16 and compiled). The difference is that of the outputs, whose range
is about [0, 1].

Bundled models have their own weights, others have seeded ones. Weights do not change the time, but untrained ones
amplify errors, and a back end whose error is too large is not used.

With ``--windows``, attention of a Restormer is summed over the windows that its model uses in a run; the authors' code
has no windows, so ours in eager float32 is beside it.

The floor is what the machine could not do faster: the operations of all products (matrices, convolutions, attention)
over the rate of one big matrix product, and the bytes that all steps read and write over the rate of one big copy, both
measured here, in the precision of the run. Steps whose data stay in the cache beat the second.

Peak memory is measured in a process of its own for each, above what the network holds before it runs; on Linux only.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import importlib.util
import inspect
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import torch
from seeded_weights import fill, seeded_image
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from napari_restore import api
from napari_restore.engine.compute.backends.making import make_backend
from napari_restore.engine.hardware.backends import BackendName, openvino_version
from napari_restore.engine.hardware.compiling import gains
from napari_restore.engine.hardware.device import parse_devices
from napari_restore.engine.hardware.machine_cache import processor
from napari_restore.models.card import ModelCard
from napari_restore.models.windows import with_windows
from napari_restore.models.zoo import load_weights
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR
from napari_restore.wording import counted

CLASSES: dict[str, type[nn.Module]] = {"swinir": SwinIR, "restormer": Restormer}
PUBLISHED = ("swinir-lightweight-x2", "swinir-gray-denoise-25", "restormer-gray-denoise-25")
"""Published networks that are compared by default, one of each kind."""
OURS_ALONE = ("attention_window", "attention_cell", "absolute_positions", "features", "mean")
"""Parameters that the authors' networks do not have; those of published models have our defaults, or move no figure."""


def parameters_of(card: ModelCard) -> dict[str, Any]:
    """Return all parameters of a network; those missing from the card have the defaults of our class."""
    signature = inspect.signature(CLASSES[card.architecture])
    defaults = {name: each.default for name, each in signature.parameters.items()}
    told = {**defaults, **card.hyperparameters, "out_channels": card.out_channels}
    for name in OURS_ALONE:
        told.pop(name, None)
    return told


def card_of(name: str, *, windows: bool) -> ModelCard:
    """Return the card of a model, with the attention windows of a run if they are wanted and the model has them."""
    card = api.model_card(name)
    return with_windows(card, card.attention_window) if windows and card.attention_window else card


def pair(card: ModelCard, *, alone: bool = False) -> tuple[nn.Module, nn.Module, int]:
    """Return our network and theirs (ours again if `alone`) with the same weights, and the number of input channels."""
    kind, parameters = CLASSES[card.architecture], parameters_of(card)
    if card.bundled:
        ours = load_weights(card)
    else:
        ours = kind(**parameters).eval()
        fill(ours, seed=1)
    if alone:
        return ours, copy.deepcopy(ours), parameters["in_channels"]
    from oracle.reference_networks import reference

    theirs = reference(kind.__name__, parameters)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    return ours, theirs, parameters["in_channels"]


def seconds(network: Callable[[Tensor], Tensor], image: Tensor) -> float:
    began = time.perf_counter()
    network(image)
    if image.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_bytes(name: str, side: int, whose: int) -> int:
    """Measure the peak resident memory of one run above that before it, in a separate process."""
    command = [sys.executable, "-m", "benchmarks.networks", "--child", name, str(side), str(whose)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def child(name: str, side: int, whose: int) -> None:
    ours, theirs, channels = pair(api.model_card(name), alone=whose == 0)
    network, image = (ours, theirs)[whose], seeded_image((1, channels, side, side), seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.inference_mode():
        network(image)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


class _Traffic(TorchDispatchMode):
    """Counter of the bytes that operations read and write; a view moves none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [each for each in tree_leaves((args, kwargs, result)) if isinstance(each, Tensor)]
            self.bytes += sum(each.numel() * each.element_size() for each in tensors)
        return result


def best_seconds(work: Callable[[], object], device: str) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return min(once() for _ in range(5))


def rates(device: str, precision: str) -> tuple[float, float]:
    """Measure operations per second of a large matrix product, and bytes per second of a large copy."""
    size = 4096 if device != "cpu" else 2048
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    source = torch.zeros(2**28, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    operations = 2 * size**3 / best_seconds(lambda: a @ b, device)
    return operations, 2 * source.numel() / best_seconds(lambda: target.copy_(source), device)


def floor(network: nn.Module, image: Tensor, precision: str) -> tuple[float, float]:
    """Return the seconds of products and of bytes at the measured rates."""
    device = image.device.type
    operation_rate, byte_rate = rates(device, precision)
    with (
        torch.inference_mode(),
        torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"),
        FlopCounterMode(display=False) as products,
        _Traffic() as traffic,
    ):
        network(image)
    return products.get_total_flops() / operation_rate, traffic.bytes / byte_rate


def running(card: ModelCard, network: nn.Module, given: argparse.Namespace) -> Callable[[Tensor], Tensor]:
    """Ours, in the back end that is measured."""
    if not card.bundled:
        # Seeded weights are not those of the card: what is converted of them is kept under a name of their own.
        seeded = hashlib.sha256(f"{card.name} seeded".encode()).hexdigest()
        card = card.model_copy(update={"sha256": seeded})
    device = parse_devices(given.device)[0]
    if given.backend == "compiled" and not gains(card, device):
        print(f"({card.name} gains nothing by compiling here, and runs as it is)", file=sys.stderr)
    return make_backend(given.backend, network, card, device, given.precision)


def authors_way(network: nn.Module, given: argparse.Namespace) -> Callable[[Tensor], Tensor]:
    """Theirs, as their scripts run it, or with what torch offers today."""
    kind = parse_devices(given.device)[0].kind
    if given.theirs == "eager-float32":

        def run(image: Tensor) -> Tensor:
            if kind == "cuda":
                torch.backends.cudnn.allow_tf32 = True
            result: Tensor = network(image)
            torch.backends.cudnn.allow_tf32 = False
            return result

        return run
    compiled = torch.compile(network, dynamic=False, mode="reduce-overhead" if kind == "cuda" else "default")

    def run_compiled(image: Tensor) -> Tensor:
        with torch.autocast(kind, torch.bfloat16):
            return compiled(image)

    return run_compiled


def compare(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one network: seconds, ratio, difference, and bytes a pixel."""
    side, device = given.side, given.device
    card = card_of(name, windows=given.windows)
    ours, theirs, channels = pair(card, alone=given.alone)
    theirs = theirs.to(device)
    image = seeded_image((given.batch, channels, side, side), seed=1).to(device)
    by_products, by_bytes = floor(ours.to(device), image, given.precision)
    mine, authors = running(card, ours, given), authors_way(theirs, given)
    with torch.inference_mode():
        # The exact result of theirs is that without TF32.
        began = time.perf_counter()
        result = mine(image).float().clone()
        first = time.perf_counter() - began  # of a back end that compiles or converts at its first batch
        difference = float((result - theirs(image)).abs().max())
        seconds(authors, image)
        times = [(seconds(mine, image), seconds(authors, image)) for _ in range(given.rounds)]
    own, other = (min(column) for column in zip(*times, strict=True))
    found = {"network": name, "side": side, "batch": given.batch, "ours_s": own, "theirs_s": other}
    found |= {"ratio": other / own, "difference": difference, "products_s": by_products, "bytes_s": by_bytes}
    found["first_s"] = first
    if given.memory:
        for whose, key in enumerate(("ours_bytes_a_pixel", "theirs_bytes_a_pixel")):
            found[key] = peak_bytes(name, side, whose) / side**2
    return found


def row(found: dict[str, Any]) -> list[str]:
    """Return the cells of one network."""
    cells = [found["network"], f"{found['batch']} x {found['side']}²" if found["batch"] > 1 else f"{found['side']}²"]
    cells += [f"{found['ours_s']:.3f} s", f"{found['theirs_s']:.3f} s", f"{found['ratio']:.2f}"]
    cells += [f"{found['difference']:.1e}", f"{found['products_s']:.3f} s", f"{found['bytes_s']:.3f} s"]
    cells += [f"{found['first_s']:.1f} s"]
    return cells + [f"{value / 1000:.1f} GB" for key, value in found.items() if key.endswith("bytes_a_pixel")]


def machine() -> str:
    """Name the processor and those of its vector extensions that matter here."""
    found = {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    named = sorted(name for name in found if name.startswith(("avx", "amx", "neon", "sve")))
    return f"{processor()} ({', '.join(named) or 'no vector extensions known'})"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    some = [*PUBLISHED, *(card.name for card in api.models() if card.bundled)]
    arguments.add_argument("names", nargs="*", default=some, help=f"models, or all; by default {', '.join(some)}")
    arguments.add_argument("--side", type=int, default=256, help="height and width of the input")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--backend", choices=get_args(BackendName), default="eager", help="what runs ours")
    arguments.add_argument("--windows", action="store_true", help="attention windows, as in a run; with --alone")
    arguments.add_argument("--alone", action="store_true", help="beside ours in eager float32, without spandrel")
    arguments.add_argument("--memory", action="store_true", help="measure peak memory as well, of eager")
    arguments.add_argument("--batch", type=int, default=1, help="number of inputs that go through at a time")
    arguments.add_argument("--theirs", choices=("eager-float32", "compiled-bfloat16"), default="eager-float32")
    arguments.add_argument("--json", type=Path, help="write the figures there as well, after each network")
    arguments.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)
    if given.child:
        child(given.child[0], int(given.child[1]), int(given.child[2]))
        return
    given.alone = given.alone or given.windows or importlib.util.find_spec("spandrel") is None
    versions = f"torch {torch.__version__}" + (
        f", OpenVINO {openvino_version()}" if given.backend == "openvino" else ""
    )
    print(f"{machine()}, {counted(given.threads, 'thread')}\n{versions}, {given.device}, ours {given.precision}, "
          f"{given.backend}; best of {given.rounds} rounds")  # fmt: skip
    theirs = "eager" if given.alone else "authors'"
    theirs += "" if given.theirs == "eager-float32" else " in bfloat16, compiled"
    headings = ["network", "input", "ours", theirs, "ratio", "difference", "floor: products", "bytes", "first call"]
    headings += ["ours, a Mpx", f"{theirs}, a Mpx"] if given.memory else []
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    names = [card.name for card in api.models()] if given.names == ["all"] else given.names
    rows = []
    for name in names:
        rows.append(compare(name, given))
        print(f"| {' | '.join(row(rows[-1]))} |", flush=True)
        if given.json:
            given.json.write_text(json.dumps({"theirs": theirs, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

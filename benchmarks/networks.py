"""Our networks against the authors' own, as spandrel packages them: speed, agreement and memory.

    tox -e oracle --notest && PYTHONPATH=tests .tox/oracle/bin/python benchmarks/networks.py

Both have the same weights (seeded, not trained) and the same input, and take turns in one process, so what else the
machine does hits both. The ratio is that of the medians, theirs to ours. Peak memory is measured in a process of its
own for each, above what the network holds before it runs; on Linux only.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from oracle.reference_networks import reference
from published import RESTORMER, SWINIR
from seeded_weights import fill, seeded_image
from torch import Tensor, nn

from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR

WEIGHTS = Path(__file__).parents[1] / "napari_restore" / "models" / "weights"
CLASSES: dict[str, type[nn.Module]] = {"SwinIR": SwinIR, "Restormer": Restormer}
DEFAULTS = {"restormer": {"expansion": 2.66, "bias": False, "dual_pixel": False}, "swinir": {"mlp_ratio": 2.0}}


def networks() -> dict[str, tuple[str, dict[str, Any]]]:
    """Name of our class and hyper-parameters, by a name to type."""
    found: dict[str, tuple[str, dict[str, Any]]] = {
        "SwinIR-S x2": ("SwinIR", SWINIR["lightweight-x2"][0]),
        "SwinIR-M denoise": ("SwinIR", SWINIR["gray-denoise"][0]),
        "Restormer denoise": ("Restormer", RESTORMER["gaussian-gray"][0]),
    }
    for path in sorted(WEIGHTS.glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        parameters = {**DEFAULTS[card["architecture"]], **card["hyperparameters"]}
        parameters["out_channels"] = card["out_channels"]
        found[card["name"]] = ("SwinIR" if card["architecture"] == "swinir" else "Restormer", parameters)
    return found


def pair(name: str) -> tuple[nn.Module, nn.Module, int]:
    """Ours and theirs with the same weights, and the number of input channels."""
    kind, parameters = networks()[name]
    ours, theirs = CLASSES[kind](**parameters).eval(), reference(kind, parameters)
    fill(ours, seed=1)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    return ours, theirs, parameters["in_channels"]


def seconds(network: nn.Module, image: Tensor) -> float:
    began = time.perf_counter()
    network(image)
    if image.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_bytes(name: str, side: int, whose: int) -> int:
    """Peak resident memory of one run above what was resident before it, in a process of its own."""
    command = [sys.executable, __file__, "--child", name, str(side), str(whose)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def child(name: str, side: int, whose: int) -> None:
    network, image = pair(name)[whose], seeded_image((1, pair(name)[2], side, side), seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.inference_mode():
        network(image)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def compare(name: str, side: int, rounds: int, device: str, precision: str, memory: bool) -> list[str]:
    ours, theirs, channels = pair(name)
    ours, theirs = ours.to(device), theirs.to(device)
    image = seeded_image((1, channels, side, side), seed=1).to(device)
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
        difference = float((ours(image) - theirs(image)).abs().max())
        times = [(seconds(ours, image), seconds(theirs, image)) for _ in range(rounds)]
    mine, authors = (statistics.median(column) for column in zip(*times, strict=True))
    row = [name, f"{side}²", f"{mine:.3f} s", f"{authors:.3f} s", f"{authors / mine:.2f}", f"{difference:.1e}"]
    if memory:
        row += [f"{peak_bytes(name, side, whose) / side**2 / 1000:.1f} GB" for whose in (0, 1)]
    return row


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("names", nargs="*", default=list(networks()), help="networks; all of them by default")
    arguments.add_argument("--side", type=int, default=256, help="height and width of the input")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--memory", action="store_true", help="measure peak memory as well")
    arguments.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_flush_denormal(True)
    if given.child:
        child(given.child[0], int(given.child[1]), int(given.child[2]))
        return
    print(
        f"torch {torch.__version__}, {given.device}, {given.precision}, {given.threads} threads, {given.rounds} rounds"
    )
    headings = ["network", "input", "ours", "authors'", "ratio", "difference"]
    headings += ["ours, a Mpx", "authors', a Mpx"] if given.memory else []
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    for name in given.names:
        row = compare(name, given.side, given.rounds, given.device, given.precision, given.memory)
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

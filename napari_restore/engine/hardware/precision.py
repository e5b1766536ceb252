"""The precision of a network: bfloat16 where it runs faster in it, which is timed once on this machine, and kept."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Literal

import torch

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.hardware.devices import set_own_threads
from napari_restore.engine.hardware.machine_cache import cache_folder, key_digest, networks_digest, processor
from napari_restore.files import write_whole
from napari_restore.models.card import ModelCard

__all__ = ["BFLOAT16_ERROR", "LOSS_ALLOWED", "WORTH", "bfloat16_gain", "choose_precision"]

LOSS_ALLOWED = 0.02
"""PSNR in dB that bfloat16 may cost."""
BFLOAT16_ERROR = math.sqrt(10**-3.5 * (10 ** (LOSS_ALLOWED / 10) - 1))
"""Root mean square of the error, as a share of the range, that costs a result of 35 dB so much: 1.2e-3."""

WORTH = 1.15
"""How many times as fast bfloat16 has to be: what is less may be other work of the machine."""
_SIDE = 128
"""Height and width in pixels of what is timed, about: with smaller ones other things than a tile's decide."""
_ROUNDS = 4
_log = logging.getLogger(__name__)
_timing = threading.Lock()
_known: dict[str, float] = {}


def choose_precision(card: ModelCard, device: Device) -> Literal["float32", "bfloat16"]:
    """Choose bfloat16 where the model runs faster in it here, and is known to lose `LOSS_ALLOWED` at most."""
    if card.bfloat16_loss is None or card.bfloat16_loss > LOSS_ALLOWED:
        return "float32"
    if device.is_cuda:
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.is_cpu and bfloat16_gain(card) >= WORTH
    return "bfloat16" if fast else "float32"


def bfloat16_gain(card: ModelCard) -> float:
    """Give how many times as fast a network runs in bfloat16, in torch on one core; timed once for each machine.

    Processors differ in more than whether they have such instructions: networks of small products gain nothing by them,
    and others twice. The weights do not matter for that, so the network is timed with those that it is built with.
    """
    key = {
        "architecture": card.architecture, "hyperparameters": card.model_dump(mode="json")["hyperparameters"],
        "networks": networks_digest(), "torch": torch.__version__, "processor": processor(),
    }  # fmt: skip
    name = key_digest(key)
    with _timing:
        if name not in _known:
            found = _kept(name, key)
            _known[name] = found if found is not None else _timed_and_kept(card, name, key)
        return _known[name]


def _kept(name: str, key: dict[str, Any]) -> float | None:
    """Read what was timed earlier; None where there is nothing to be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads((cache_folder("speed") / f"{name}.json").read_bytes())
        if said["key"] == key:
            return float(said["bfloat16_gain"])
    return None


def _timed_and_kept(card: ModelCard, name: str, key: dict[str, Any]) -> float:
    with ThreadPoolExecutor(1) as own:  # torch's number of threads is a thread's own
        gain = round(own.submit(_timed, card).result(), 2)
    _log.info("%s in bfloat16 is %.2f times as fast on this processor", card.name, gain)
    path = cache_folder("speed") / f"{name}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"key": key, "bfloat16_gain": gain}))
    except OSError as error:
        _log.warning("%s cannot be written (%s); the next start times %s again", path, error, card.name)
    return gain


def _timed(card: ModelCard) -> float:
    """Time the network in both precisions in turn on one core, the best of a few each."""
    from napari_restore.models.architecture import build

    network = build(card.architecture, card.hyperparameters).eval()
    side = -(-_SIDE // card.alignment) * card.alignment
    image = torch.rand(1, card.in_channels, side, side, generator=torch.Generator().manual_seed(0))

    def seconds(enabled: bool) -> float:
        began = time.thread_time()  # of this thread's own work: others that wait for the core do not count
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            network(image)
        return time.thread_time() - began

    set_own_threads(1)
    torch.set_flush_denormal(True)
    with torch.inference_mode():
        times = [(seconds(False), seconds(True)) for _ in range(_ROUNDS + 1)][1:]  # the first ones prepare kernels
    return min(exact for exact, _ in times) / min(rough for _, rough in times)

"""Choose the precision of a network: bfloat16 if the network runs faster in it, which is timed once on this machine."""

from __future__ import annotations

import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import torch

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.hardware.devices import set_own_threads
from napari_restore.engine.hardware.machine_cache import (
    cache_folder,
    keep_measured,
    kept_measurement,
    networks_digest,
    processor,
)
from napari_restore.fingerprint import digest
from napari_restore.models.card import ModelCard

__all__ = ["BFLOAT16_ERROR", "LOSS_ALLOWED", "WORTH", "bfloat16_gain", "choose_precision"]

LOSS_ALLOWED = 0.02
"""Largest accepted loss of PSNR by bfloat16, in dB."""
BFLOAT16_ERROR = math.sqrt(10**-3.5 * (10 ** (LOSS_ALLOWED / 10) - 1))
"""Root mean square error, as a share of the range, that causes this loss in a result of 35 dB: 1.2e-3."""

WORTH = 1.15
"""Speed relative to float32 from which bfloat16 is chosen; smaller gains can be due to other load of the machine."""
_SIDE = 128
"""Approximate height and width in pixels of the timed image; smaller images are not representative of tiles."""
_ROUNDS = 4
_log = logging.getLogger(__name__)
_timing = threading.Lock()
_known: dict[str, float] = {}


def choose_precision(card: ModelCard, device: Device) -> Literal["float32", "bfloat16"]:
    """Choose bfloat16 if the model runs faster in it on this machine and loses at most `LOSS_ALLOWED`.

    Parameters
    ----------
    card : ModelCard
        Card of the model, with its measured loss.
    device : Device
        Device of the run.

    Returns
    -------
    {"float32", "bfloat16"}
        The precision.
    """
    if card.bfloat16_loss is None or card.bfloat16_loss > LOSS_ALLOWED:
        return "float32"
    if device.is_cuda:
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.is_cpu and min(bfloat16_gain(network) for network in card.networks) >= WORTH
    return "bfloat16" if fast else "float32"


def bfloat16_gain(card: ModelCard) -> float:
    """Return the speed of a network in bfloat16 relative to float32, in torch on one core; timed once on each machine.

    The gain depends on processor and network: networks of small matrix products gain nothing from bfloat16
    instructions, others a factor of two. It does not depend on the weights, so the network is timed with its initial
    weights.
    """
    key = {
        "architecture": card.architecture, "hyperparameters": card.model_dump(mode="json")["hyperparameters"],
        "networks": networks_digest(), "torch": torch.__version__, "processor": processor(),
    }  # fmt: skip
    name = digest(key)
    with _timing:
        if name not in _known:
            path = cache_folder("speed") / f"{name}.json"
            found = kept_measurement(path, key, "bfloat16_gain")
            _known[name] = found if found is not None else _timed_and_kept(card, path, key)
        return _known[name]


def _timed_and_kept(card: ModelCard, path: Path, key: dict[str, Any]) -> float:
    with ThreadPoolExecutor(1) as own:  # each thread has its own number of torch threads
        gain = round(own.submit(_timed, card).result(), 2)
    _log.info("%s in bfloat16 is %.2f times as fast on this processor", card.name, gain)
    try:
        keep_measured(path, key, "bfloat16_gain", gain)
    except OSError as error:
        _log.warning("%s cannot be written (%s); the next start times %s again", path, error, card.name)
    return gain


def _timed(card: ModelCard) -> float:
    """Time the network alternately in both precisions on one core; return the best times."""
    from napari_restore.models.architecture import build

    network = build(card.architecture, card.hyperparameters).eval()
    side = -(-_SIDE // card.alignment) * card.alignment
    image = torch.rand(1, card.in_channels, side, side, generator=torch.Generator().manual_seed(0))

    def seconds(enabled: bool) -> float:
        began = time.thread_time()  # processor time of this thread, so that other load does not count
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            network(image)
        return time.thread_time() - began

    set_own_threads(1)
    torch.set_flush_denormal(True)
    with torch.inference_mode():
        times = [(seconds(False), seconds(True)) for _ in range(_ROUNDS + 1)][1:]  # the first round prepares kernels
    return min(exact for exact, _ in times) / min(rough for _, rough in times)

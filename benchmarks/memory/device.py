"""Compare the working memory of networks on a device with the memory that is planned for it.

    python -m benchmarks.memory.device --device cuda
    python -m benchmarks.memory.device --device cpu --sides 128 --batches 1 swinir-x2-light

Planned is what `napari_restore.engine.planning.memory.tile_bytes` says of the tiles of a batch: it decides how many
tiles go through the network at a time. On a GPU, the peak is that of torch's allocator (`max_memory_allocated`) above
the memory before the batch, and "reserved" is what the allocator has taken from the GPU for it. On a CPU, both are the
peak of the resident memory (Linux only). The exit code is 1 if a batch took more than is planned.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.memory.resident import memory
from napari_restore import api
from napari_restore.engine.compute.predictor import predictor_for, release_predictors
from napari_restore.engine.hardware.device import Device, parse_devices


def peak(name: str, device: Device, precision: str, side: int, batch: int) -> dict[str, Any]:
    """Measure one batch, after one that prepares kernels and libraries."""
    card = api.model_card(name)
    side = -(-side // card.alignment) * card.alignment
    tiles = np.random.default_rng(0).random((batch, card.in_channels, side, side), np.float32)
    predict = predictor_for(card, device, precision)
    predict(tiles[:1, :, : side // 2, : side // 2] if device.is_cpu else tiles, 1 if device.is_cpu else batch)
    if device.is_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        predict(tiles, batch)
        found = torch.cuda.max_memory_allocated() - before
        taken = torch.cuda.max_memory_reserved() - reserved
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        before = memory("VmRSS")
        predict(tiles, batch)
        found = taken = memory("VmHWM") - before
    planned = batch * side**2 * card.bytes_per_pixel
    release_predictors()
    return {
        "network": name, "precision": precision, "side": side, "batch": batch, "planned": planned, "peak": found,
        "reserved": taken, "share": found / planned,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.memory.device", description=__doc__.splitlines()[0])
    bundled = [card.name for card in api.models() if card.bundled]
    parser.add_argument("names", nargs="*", default=bundled, help=f"models; by default {', '.join(bundled)}")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"])
    parser.add_argument("--json", type=Path, help="write the figures there as well, after each batch")
    given = parser.parse_args()
    device = parse_devices(given.device)[0]
    if device.is_cuda and device.index is None:
        device = Device("cuda", 0)
    rows: list[dict[str, Any]] = []
    print("| network | precision | batch | planned | peak | reserved | peak / planned |\n|---|---|---|---|---|---|---|")
    for name in given.names:
        for side in given.sides:
            for batch in given.batches:
                for precision in given.precisions:
                    rows.append(found := peak(name, device, precision, side, batch))
                    sizes = " | ".join(f"{found[key] / 1e6:.0f} MB" for key in ("planned", "peak", "reserved"))
                    print(f"| {name} | {precision} | {batch} x {found['side']}² | {sizes} | {found['share']:.2f} |",
                          flush=True)  # fmt: skip
                    if given.json:
                        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    sys.exit(any(found["share"] > 1 for found in rows))


if __name__ == "__main__":
    main()

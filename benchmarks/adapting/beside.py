"""Adapting beside other programs that learn from the noisy image: ``python -m benchmarks.adapting.beside EVAL_FOLDER``.

The same images and the same processor time on one thread: Noise2Void and structN2V of CAREamics, and Noise2VST, each in
an environment of its own (``--careamics PYTHON``, ``--noise2vst PYTHON``). Noise2VST takes the weights of FFDNet and
DRUNet from GitHub; without ``--weights`` (TorchScript files for 64 x 64 pixels in batches of 4, and for a whole plane),
it is run around the bundled network, so that its curve is compared, and not its weights.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.adapting.__main__ import GROUPS
from napari_restore import api
from napari_restore.models.zoo import find_card, load_weights
from napari_restore.networks.denormals import denormals_are_zero
from napari_restore.quality import psnr

CONTENDER = Path(__file__).with_name("contender.py")
SHARE = 0.75
"""Share of the budget that is for the steps; the rest is for judging and preparing."""
STRUCTURED = {"lines of a scanner": "horizontal", "wide-field, correlated, two frames": "square"}
"""Masks of structN2V, by group."""


def ours(noisy: npt.NDArray, axes: str, seconds: float) -> tuple[npt.NDArray, float, str]:
    """Adapt for so many seconds of processor time; return the result, the time, and what became of it."""
    with tempfile.TemporaryDirectory() as folder:
        spent: list[float] = []  # no step of these is judged, but for the last
        api.adapt(
            noisy, Path(folder) / "timed.safetensors", axes=axes, steps=100,
            progress=lambda event: spent.append(time.process_time()) or len(spent) < 4,
        )  # fmt: skip
        if len(spent) < 2:  # declined
            return np.asarray(api.denoise(noisy, axes=axes, dtype="float32")), 0.0, "declined"
        steps = max(8, int(SHARE * seconds / ((spent[-1] - spent[0]) / (len(spent) - 1))))
        began = time.process_time()
        found = api.adapt(noisy, Path(folder) / "own.safetensors", axes=axes, steps=steps)
        taken = time.process_time() - began
        result = np.asarray(api.denoise(noisy, axes=axes, model=found.model, dtype="float32"))
    return result, taken, f"{found.outcome}, {found.method}, {found.steps} of {steps} steps"


def other(python: Path, name: str, noisy: npt.NDArray, seconds: float, *files: str) -> tuple[npt.NDArray, float]:
    """Run another program in its environment; return its result and its processor time."""
    stack = noisy[None] if noisy.ndim == 2 else noisy
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "noisy.npy", Path(folder) / "result.npy"
        np.save(source, stack.astype(np.float32))
        run = subprocess.run(
            [python, CONTENDER, name, source, result, str(seconds), *files], check=True, capture_output=True, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": "", "CUDA_VISIBLE_DEVICES": ""}, cwd=folder,
        )  # fmt: skip
        return np.load(result).reshape(noisy.shape), float(run.stdout.split()[-1])


def scripts(folder: Path, side: int) -> list[str]:
    """Write the bundled network as TorchScript, for the crops of a training and for a plane."""
    network, paths = load_weights(find_card(api.DENOISER)), []
    for shape in ((4, 1, 64, 64), (1, 1, side, side)):
        path = folder / f"{shape[-1]}.pt"
        with denormals_are_zero():
            torch.jit.trace(network, torch.rand(shape), check_trace=False).save(str(path))
        paths.append(str(path))
    return paths


def rows(given: argparse.Namespace, group: str, noisy: npt.NDArray) -> Iterator[tuple[str, npt.NDArray, float, str]]:
    """Yield name, result, processor time and a remark of each program."""
    axes = "TYX"[-noisy.ndim :]
    began = time.process_time()
    result = np.asarray(api.denoise(noisy, axes=axes, dtype="float32"))
    yield "not adapted", result, time.process_time() - began, ""
    yield "adapted", *ours(noisy, axes, given.seconds)
    if given.careamics:
        yield "CAREamics, Noise2Void", *other(given.careamics, "careamics", noisy, given.seconds), ""
        if group in STRUCTURED:
            masks = STRUCTURED[group]
            found = other(given.careamics, "careamics", noisy, given.seconds, masks)
            yield "CAREamics, structN2V", *found, f"masks {masks}"
    if given.noise2vst:
        with tempfile.TemporaryDirectory() as folder:
            files = given.weights or scripts(Path(folder), noisy.shape[-1])
            yield (
                "Noise2VST",
                *other(given.noise2vst, "noise2vst", noisy, given.seconds, *files),
                ("" if given.weights else "around the bundled network"),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=list(GROUPS))
    parser.add_argument("--images", type=int, default=1, help="Images of each group.")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=300.0, help="Processor time of each training.")
    parser.add_argument("--careamics", type=Path)
    parser.add_argument("--noise2vst", type=Path)
    parser.add_argument("--weights", nargs=2, help="TorchScript files for Noise2VST.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| group | image | program | PSNR | processor time | |\n|---|---|---|---|---|---|")
    for group in given.groups:
        cases = list(GROUPS[group](given.folder, given.side))
        for name, noisy, truth in cases[:: max(len(cases) // given.images, 1)][: given.images]:
            for program, result, seconds, remark in rows(given, group, noisy):
                reached = psnr(truth, result.astype(float), float(np.ptp(truth)))
                print(f"| {group} | {name} | {program} | {reached:.2f} | {seconds:.0f} s | {remark} |", flush=True)


if __name__ == "__main__":
    main()

"""How good the bundled models are on real microscopes' images: ``python benchmarks/quality.py EVAL_FOLDER``.

EVAL_FOLDER holds ``fmd/{raw,gt}`` (pairs of the Fluorescence Microscopy Denoising set, Zhang et al., CVPR 2019),
``w2s/{avg1,avg400}`` (Zhou et al., ECCV workshops 2020) and, for super-resolution, ``hr/`` (gray images that serve as
high-resolution truth). No setting is touched. PSNR and SSIM are on [0, 1], data range 1; on W2S, whose images have
each their own stretch, after a least-squares gain and offset.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.io import imread
from skimage.transform import resize

from napari_restore import api
from napari_restore.quality.metrics import fit_gain_offset, psnr, ssim

Plane = NDArray[np.float32]


def fmd_pairs(folder: Path) -> Iterator[tuple[str, Plane, Plane]]:
    for path in sorted((folder / "fmd" / "raw").glob("*.png")):
        yield path.stem, *(imread(folder / "fmd" / kind / path.name).astype(np.float32) for kind in ("raw", "gt"))


def w2s_pairs(folder: Path) -> Iterator[tuple[str, Plane, Plane]]:
    for path in sorted((folder / "w2s" / "avg1").glob("*.tif")):
        truth = folder / "w2s" / "avg400" / path.name.replace("input_avg1", "target_avg400")
        yield path.stem, imread(path).astype(np.float32), imread(truth).astype(np.float32)


DENOISERS: dict[str, Callable[[Plane], Plane]] = {
    "noisy": lambda plane: plane,
    "Gaussian, sigma 1.5": lambda plane: ndimage.gaussian_filter(plane, 1.5),
    **{
        card.name: lambda plane, name=card.name: api.denoise(plane, model=name)  # type: ignore[misc]
        for card in api.models()
        if card.task == "denoise"
    },
}


def score(truth: Plane, image: Plane, *, fit: bool) -> tuple[float, float]:
    image, truth = image / 255, truth / 255
    if fit:
        gain, offset = fit_gain_offset(image, truth)
        image = gain * image + offset
    image = np.clip(image, 0, 1).astype(np.float32)
    return psnr(truth, image, 1.0), ssim(truth, image, 1.0)


def denoising(folder: Path) -> dict[str, dict[str, list[float]]]:
    table: dict[str, dict[str, list[float]]] = {}
    for set_name, pairs, fit in (("FMD", fmd_pairs, False), ("W2S", w2s_pairs, True)):
        rows: dict[str, list[tuple[str, float, float, float]]] = {name: [] for name in DENOISERS}
        for stem, noisy, truth in pairs(folder):
            for name, denoise in DENOISERS.items():
                began = time.perf_counter()
                result = denoise(noisy)
                rows[name].append((stem, *score(truth, result, fit=fit), time.perf_counter() - began))
        groups = {set_name: ""} | (
            {f"FMD {kind}": kind for kind in ("Confocal", "TwoPhoton", "WideField")} if set_name == "FMD" else {}
        )
        for group, start in groups.items():
            table[group] = {}
            for name, scores in rows.items():
                chosen = [row[1:] for row in scores if row[0].startswith(start)]
                if chosen:
                    table[group][name] = [round(float(value), 3) for value in np.mean(chosen, axis=0)]
    return table


def super_resolution(folder: Path) -> dict[str, list[float]]:
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for path in sorted((folder / "hr").glob("*.tif")):
        truth = imread(path).astype(np.float32)
        truth = truth[: truth.shape[0] // 2 * 2, : truth.shape[1] // 2 * 2]
        low, high = np.percentile(truth, (0.1, 99.9))
        truth = (truth - low) / (high - low)
        small = truth.reshape(truth.shape[0] // 2, 2, truth.shape[1] // 2, 2).mean((1, 3))
        for name, enlarge in (
            ("bicubic", lambda plane, shape=truth.shape: resize(plane, shape, order=3)),
            ("swinir-x2-light", api.super_resolve),
        ):
            began = time.perf_counter()
            result = np.asarray(enlarge(small))
            binned = result.reshape(*small.shape[:1], 2, small.shape[1], 2).mean((1, 3))
            error = float(np.sqrt(np.mean((binned - small) ** 2)))
            rows.setdefault(name, []).append((psnr(truth, result, 1.0), error, time.perf_counter() - began))
    return {name: [round(float(value), 4) for value in np.mean(values, axis=0)] for name, values in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()
    table = denoising(arguments.folder)
    for group, rows in table.items():
        for name, (db, similarity, seconds) in rows.items():
            print(f"{group:14} {name:26} {db:6.2f} dB  SSIM {similarity:.3f}  {seconds:6.2f} s")
    enlarged = super_resolution(arguments.folder)
    for name, (db, error, seconds) in enlarged.items():
        print(f"x2             {name:26} {db:6.2f} dB  consistency error {error:.4f}  {seconds:6.2f} s")
    if arguments.out:
        arguments.out.write_text(json.dumps({"denoising": table, "super-resolution": enlarged}, indent=2) + "\n")


if __name__ == "__main__":
    main()

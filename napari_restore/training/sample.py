"""Make the bundled demonstration image: ``python -m napari_restore.training.sample IMAGES OUT``.

The clean truth is a real three-channel fluorescence image (BPAE cells, BioImageAnalysisNotebooks, CC BY 4.0), binned
2x2. The noisy image is a simulated recording of it in a short exposure: photon (Poisson) noise, read noise, gain and
offset. No training run reads these files (`napari_restore.training.recipes.HELD_OUT`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import tifffile
import typer
from numpy.typing import NDArray

__all__ = ["make_sample", "simulated_camera"]

CHANNELS = {
    "nuclei": ("BPAE_nuclei.tif", 60.0),
    "actin": ("BPAE_actin.tif", 40.0),
    "mitochondria": ("BPAE_mito.tif", 30.0),
}
"""File of each channel, and photons per pixel at its 99.9 percentile."""
COLOURS = (0x0000FFFF, 0xFF0000FF, 0x00FF00FF)  # RGBA, as OME stores them

BACKGROUND = 2.0  # photons per pixel
GAIN = 4.0  # camera units per photon
OFFSET = 100.0  # camera units
READ_NOISE = 1.6  # photons, root mean square


def simulated_camera(
    structure: NDArray[np.floating], photons: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Simulate a camera: return a recording of a structure, and its expectation.

    Parameters
    ----------
    structure : numpy.ndarray
        Intensities ``(h, w)``, in any unit.
    photons : float
        Photons per pixel at the 99.9 percentile of the structure.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    tuple of numpy.ndarray
        Recording and expectation, ``(h, w)`` uint16, in camera units.
    """
    low, high = np.percentile(structure, (0.1, 99.9))
    expected = np.clip((structure - low) / (high - low), 0, None) * photons + BACKGROUND
    electrons = rng.poisson(expected) + rng.normal(0, READ_NOISE, expected.shape)
    recorded, clean = (np.rint(OFFSET + GAIN * signal).clip(0, 65535) for signal in (electrons, expected))
    return recorded.astype(np.uint16), clean.astype(np.uint16)


def make_sample(images: Path, out: Path) -> None:
    """Write ``cells_noisy.ome.tif`` and ``cells_clean.ome.tif``, CYX uint16.

    Parameters
    ----------
    images : Path
        Folder with the BPAE files.
    out : Path
        Folder of the result.
    """
    rng = np.random.default_rng(0)
    pairs = []
    for file, photons in CHANNELS.values():
        plane = tifffile.imread(images / file)
        binned = plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean((1, 3))
        pairs.append(simulated_camera(binned, photons, rng))
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": list(CHANNELS), "Color": [int(np.int32(np.uint32(c))) for c in COLOURS]},
    }
    for name, planes in zip(("cells_noisy", "cells_clean"), zip(*pairs, strict=True), strict=True):
        tifffile.imwrite(
            out / f"{name}.ome.tif", np.stack(planes), metadata=metadata, compression="zlib", predictor=True, ome=True
        )


def main(
    images: Annotated[Path, typer.Argument(help="Folder with the BPAE files.")],
    out: Annotated[Path, typer.Argument(help="Folder of the result.")],
) -> None:
    """Make the bundled demonstration image."""
    make_sample(images, out)


if __name__ == "__main__":
    typer.run(main)

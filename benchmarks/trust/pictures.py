"""The pictures of ``docs/trust.md``: ``python -m benchmarks.trust.pictures EVAL_FOLDER [OUT_FOLDER]``.

A filament that was never recorded in a result; and a fixed pattern of columns, which is not noise, removed from a
source rightly: here the map cries wolf.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.quality.strips import Panel, compose
from benchmarks.trust.__main__ import frames, with_plant
from napari_restore import api
from napari_restore.intensity import estimate_noise


def draw(data: Path, folder: Path) -> None:
    """Draw result or source, the map of the residual, and the significance of its windows, from -8 to 8."""
    folder.mkdir(parents=True, exist_ok=True)
    _, noisy, truth = next(frames(data, 1))
    noise = estimate_noise(noisy)
    assert noise is not None
    planted, _ = with_plant("filament", truth, noise, 3.0, np.random.default_rng(4))
    pattern = np.random.default_rng(0).normal(0, 0.5 * noise.sigma_median, truth.shape[1])
    pictures = {"trust_filament": (noisy, planted), "trust_columns": (noisy + pattern, truth)}
    for name, (source, result) in pictures.items():
        found = api.assess(source, result, axes="YX")
        assert found.residual is not None and found.significance is not None
        windows = np.kron(np.clip(found.significance, -8, 8), np.ones((16, 16)))[: truth.shape[0], : truth.shape[1]]
        limits = (float(np.percentile(truth, 0.5)), float(np.percentile(truth, 99.8)))
        panels: list[Panel] = [
            ("result" if source is noisy else "source", result if source is noisy else source, limits),
            ("residual map", found.residual, (-8.0, 8.0)),
            ("significance of windows", windows, (-8.0, 8.0)),
        ]
        compose(panels).save(folder / f"{name}.png", optimize=True)
        print(f"{folder / name}.png: {found.line}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=Path("docs/images"))
    given = parser.parse_args()
    draw(given.data, given.out)

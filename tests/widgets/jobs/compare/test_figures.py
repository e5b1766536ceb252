from __future__ import annotations

import numpy as np

from napari_restore.widgets.jobs.compare.figures import plane_figures


def test_figures_of_a_perfect_restoration() -> None:
    rng = np.random.default_rng(0)
    truth = np.add.outer(np.arange(64.0), np.arange(64.0))
    found = dict(plane_figures(truth + rng.normal(0, 5, truth.shape), truth, reference=2 * truth + 100))
    numbers = {name.split()[0]: float(name.split()[1]) for name in found}
    assert numbers["PSNR"] > 100 and numbers["SSIM"] == 1  # whatever gain and offset the reference has
    assert abs(numbers["Whiteness"]) < 0.1 and abs(numbers["Structure"]) < 0.1


def test_structure_that_was_removed_shows() -> None:
    truth = np.add.outer(np.arange(64.0), np.arange(64.0))
    found = {name.split()[0]: float(name.split()[1]) for name, _ in plane_figures(truth, truth / 2)}
    assert found["Whiteness"] > 0.9 and found["Structure"] > 0.9

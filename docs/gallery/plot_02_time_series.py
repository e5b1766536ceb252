"""
A time series
=============

Denoise a film, and see where neighbouring frames were used.
"""

# %%
# A spot moves over a background that does not. Frames are generated, with photon noise.

import matplotlib.pyplot as plt
import numpy as np

from napari_restore import api
from napari_restore.training.structures import render

rng = np.random.default_rng(2)
size, frames = 144, 5
still = render("filaments", size, rng)
y, x = np.mgrid[:size, :size]
film = np.stack([still + np.exp(-((y - 70) ** 2 + (x - 20 - 24 * t) ** 2) / 18) for t in range(frames)])
noisy = rng.poisson(10 + 25 * film).astype(np.uint16)

# %%
# Axes are given, because an array does not know whether its first axis is time or depth.

plan = api.plan(noisy, axes="TYX")
print(next(line for line in str(plan).splitlines() if line.startswith("neighbours")))
clean = api.denoise(noisy, axes="TYX")

# %%
# The weight of the neighbouring frames is low where something moves: there each frame stands alone, so nothing leaves a
# trail.

weights = api.neighbour_weights(plan, (slice(2, 3), slice(0, size), slice(0, size)))
figure, panels = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for panel, name, image in zip(
    panels, ("frame 2", "restored", "weight of other frames"), (noisy[2], clean[2], weights[0]), strict=True
):
    panel.imshow(image, cmap="gray")
    panel.set_title(name)
    panel.axis("off")

"""
A uint16 Z-stack
================

Denoise a stack of planes. Neighbouring planes that agree are averaged before the network.
"""

# %%
# The stack is generated: nuclei that change slowly with depth, recorded by a simulated camera with 40 photons at the
# brightest pixel, an offset of 100 and a read noise of 3. The networks were trained on generated structure of this kind
# too, so real images are a harder test.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from napari_restore import api, quality
from napari_restore.training.structures import render

rng = np.random.default_rng(1)
first, last = (gaussian_filter(render("nuclei", 160, rng), 1) for _ in range(2))
depth = np.linspace(0, 0.4, 5)[:, None, None]
truth = 100 + 2 * 40 * ((1 - depth) * first + depth * last)
stack = np.round(100 + 2 * rng.poisson((truth - 100) / 2) + rng.normal(0, 3, truth.shape)).clip(0).astype(np.uint16)
print(stack.shape, stack.dtype)

# %%
# The plan says what will be done: which values become 0 and 1, and which neighbours were chosen.

plan = api.plan(stack, axes="ZYX")
print(plan)

# %%
# Restore it. The result has the shape, the data type and the units of the source.

clean = api.denoise(stack, axes="ZYX")
print(clean.shape, clean.dtype)

# %%
# Compare the middle plane with the known truth.

middle = 2
span = np.ptp(truth[middle])
figure, panels = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for panel, name, image in zip(panels, ("noisy", "restored", "truth"), (stack, clean, truth), strict=True):
    score = "" if name == "truth" else f", {quality.psnr(truth[middle], image[middle].astype(float), span):.1f} dB"
    panel.imshow(image[middle], cmap="gray", vmin=90, vmax=truth.max())
    panel.set_title(name + score)
    panel.axis("off")

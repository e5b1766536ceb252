"""
An electron micrograph
======================

Look at what was removed: it should be noise.
"""

# %%
# The micrograph is generated: membranes and granules on a textured ground, with noise that does not depend on the
# signal. Images of this kind were among the training images.

import matplotlib.pyplot as plt
import numpy as np

from napari_restore import api, quality
from napari_restore.training.structures import render

rng = np.random.default_rng(4)
truth = render("electron_micrograph", 192, rng)
noisy = (truth + rng.normal(0, 0.12, truth.shape)).astype(np.float32)
clean = api.denoise(noisy)
removed = noisy - clean

# %%
# The autocorrelation of the removed part between neighbouring pixels, along y and x, is near 0 for independent noise.
# A clearly larger value would mean that structure was removed too.

print("autocorrelation of the removed part:", quality.residual_autocorrelation(removed))

figure, panels = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for panel, name, image in zip(panels, ("noisy", "restored", "removed"), (noisy, clean, removed), strict=True):
    panel.imshow(image, cmap="gray")
    panel.set_title(name)
    panel.axis("off")

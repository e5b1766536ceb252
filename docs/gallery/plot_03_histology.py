"""
An RGB image of stained tissue
==============================

Each colour sample goes through the gray network.
"""

# %%
# The image is the immunohistochemistry example of scikit-image; noise is added.

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from napari_restore import api, quality

rng = np.random.default_rng(3)
truth = data.immunohistochemistry()[100:244, 200:344]
noisy = (truth + rng.normal(0, 20, truth.shape)).clip(0, 255).astype(np.uint8)

# %%
# S is the axis of colour samples. Without it, the last axis would be three channels of independent signals.

clean = api.denoise(noisy, axes="YXS")

figure, panels = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for panel, name, image in zip(panels, ("noisy", "restored", "before"), (noisy, clean, truth), strict=True):
    score = "" if name == "before" else f", {quality.psnr(truth.astype(float), image.astype(float), 255):.1f} dB"
    panel.imshow(image)
    panel.set_title(name + score)
    panel.axis("off")

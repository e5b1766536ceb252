"""
Twice the pixels, and the error
===============================

Super-resolve an image by 2, and see where the result is wrong.
"""

# %%
# A sharp image is binned by 2, as larger camera pixels would record it. The result is compared with the sharp image,
# and with bicubic interpolation.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from napari_restore import api, quality
from napari_restore.training.structures import render

rng = np.random.default_rng(5)
truth = gaussian_filter(render("filaments", 192, rng), 0.8).astype(np.float32)
small = truth.reshape(96, 2, 96, 2).mean(axis=(1, 3))
large = api.super_resolve(small, scale=2)
bicubic = zoom(small, 2, order=3, mode="reflect", grid_mode=True)

# %%
# The error is largest where structure is finer than the pixels of the small image: there the network had to guess.

span = float(np.ptp(truth))
error = large - truth
figure, panels = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
for panel, name, image in zip(
    panels, ("small", "bicubic", "SwinIR ×2", "error of SwinIR"), (small, bicubic, large, error), strict=True
):
    compared = name in ("bicubic", "SwinIR ×2")
    if image is error:
        panel.imshow(image, cmap="RdBu", vmin=-0.05, vmax=0.05)
    else:
        panel.imshow(image, cmap="gray")
    panel.set_title(name + (f", {quality.psnr(truth, image, span):.1f} dB" if compared else ""))
    panel.axis("off")

# %%
# Binned back, the result should be the small image. What differs contradicts the data.

back = large.reshape(96, 2, 96, 2).mean(axis=(1, 3))
print(f"binned back, it differs by {np.abs(back - small).mean() / span:.2%} of the range")

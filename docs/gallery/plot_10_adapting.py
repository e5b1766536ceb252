"""
Adapting a denoiser to one noisy image
======================================

A detector with noise of its own kind: fit a few weights to the noisy image. They are kept only if that has helped.
"""

# %%
# Each line of this scanner has an offset of its own, so the noise is correlated along the lines. The bundled denoiser
# was not trained on such noise, and takes the lines for structure.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from napari_restore import api, quality
from napari_restore.training.structures import render

rng = np.random.default_rng(10)
truth = 200 + 600 * render("filaments", 192, rng).astype(np.float64)
lines = rng.normal(0, 18, (192, 1))
noisy = (rng.poisson(truth) + lines + rng.normal(0, 4, truth.shape)).clip(0).round().astype(np.uint16)

# %%
# A short adaptation; five minutes are usual on a CPU. A tenth of the crops is set aside, and judges the weights.

file = Path(tempfile.mkdtemp()) / "mine.safetensors"
found = api.adapt(noisy, file, axes="YX", minutes=0.2, progress=False)
print(found.outcome, "by", found.method or "nothing", "in", found.steps, "steps")
print(found)

# %%
# `found.model` is always the model to use: the adapted one, or the given one if adapting has not helped. Here the truth
# is known, so both can be compared with it; of an image of yours, only the losses on the crops set aside are known.

before = api.denoise(noisy, axes="YX", dtype="float32")
after = api.denoise(noisy, axes="YX", dtype="float32", model=found.model)
scores = {name: quality.psnr(truth, image, np.ptp(truth)) for name, image in (("as it is", before), ("adapted", after))}
print({name: f"{score:.2f} dB" for name, score in scores.items()})

figure, panels = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
images = {"source": noisy, "as it is": before, f"model of the result: {found.outcome}": after}
for panel, (name, image) in zip(panels, images.items(), strict=True):
    panel.imshow(image[32:160, 32:160], cmap="gray", vmin=150, vmax=850)
    panel.set_title(name)
    panel.axis("off")

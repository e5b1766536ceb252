"""
A published checkpoint, by its file
===================================

Files of the release pages of both papers run by their path.
"""

# %%
# This build has no network, so the file is made here, with the network, the names and the shapes of a published file of
# SwinIR (lightweight, ×2), and **random weights**. With the real file, everything below is the same, except that the
# image would be good.

import tempfile
from pathlib import Path

import numpy as np
import torch

from napari_restore import api
from napari_restore.models.architecture import build

card = api.model_card("swinir-lightweight-x2")
torch.manual_seed(0)
network = build(card.architecture, card.hyperparameters)
file = Path(tempfile.mkdtemp()) / card.weights
torch.save({"params": network.state_dict()}, file)
print(file.name, f"{file.stat().st_size / 1e6:.1f} MB")

# %%
# Network and hyper-parameters are inferred from the weights. What they do not show is marked as assumed.

print(api.model_card(file).description())

# %%
# It runs by its path. This network takes RGB; a gray image goes through it as three equal samples.

image = np.random.default_rng(0).random((48, 48), dtype=np.float32)
print(api.super_resolve(image, scale=2, model=file).shape)

# %%
# Weights alone, in a file that cannot contain code:

small = api.convert_model(file, file.with_suffix(".safetensors"), half=True)
print(f"{file.with_suffix('.safetensors').stat().st_size / 1e6:.1f} MB")

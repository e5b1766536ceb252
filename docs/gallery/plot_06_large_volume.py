"""
A volume of 3 GB, of which a region is computed
===============================================

A dask array of any size has a plan at once, and a lazy result.
"""

# %%
# The volume exists as a recipe only: each chunk is generated when it is asked for.

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np

from napari_restore import api


def chunk(block_info=None):
    """Generate one chunk of rings with photon noise."""
    (z0, z1), (y0, y1), (x0, x1) = block_info[None]["array-location"]
    z, y, x = np.ogrid[z0:z1, y0:y1, x0:x1]
    level = 20 + 15 * np.sin(np.hypot(y - 2500, x - 2500) / 9 + z / 4)
    return np.random.default_rng([z0, y0, x0]).poisson(level).astype(np.uint16)


chunks = ((1,) * 60, (500,) * 10, (500,) * 10)
volume = da.map_blocks(chunk, chunks=chunks, dtype=np.uint16, meta=np.empty((0, 0, 0), np.uint16))
print(f"{volume.nbytes / 1e9:.1f} GB")

# %%
# A plan usually reads a sample, to estimate range and noise. Here all of this is known and given, so no pixel is read.
# The memory does not depend on the size of the volume. A run this long compiles the network first; for a look at a
# region, this is left out.

known = {"value_range": (0, 50), "valid_range": "all", "fill_values": "none", "neighbours": "none"}
plan = api.plan(volume, axes="ZYX", tile=128, backend="eager", **known)
print(plan)

# %%
# Compute a region: the same pixels that a run over the whole volume would store there.

region = (slice(30, 31), slice(2400, 2560), slice(2400, 2560))
clean = api.part(plan, region)

figure, panels = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained")
for panel, name, image in zip(panels, ("source", "restored"), (volume[region].compute(), clean), strict=True):
    panel.imshow(image[0], cmap="gray")
    panel.set_title(name)
    panel.axis("off")

# %%
# With an output, the volume would be restored block by block, and an interrupted run resumed by the same call::
#
#     api.denoise(volume, "clean.zarr", axes="ZYX", **known)

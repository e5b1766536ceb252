"""
A plate
=======

Restore every field of an OME-Zarr plate with one value range.
"""

# %%
# A small plate is written first: two wells with one field each, one of them dimmer.

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import zarr

from napari_restore import api
from napari_restore.training.structures import render

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(8)
wells = {"A/1": 60, "A/2": 20}
plate = zarr.open_group(folder / "screen.zarr", mode="w")
plate.attrs["ome"] = {
    "version": "0.5",
    "plate": {
        "rows": [{"name": "A"}],
        "columns": [{"name": "1"}, {"name": "2"}],
        "wells": [{"path": path, "rowIndex": 0, "columnIndex": column} for column, path in enumerate(wells)],
    },
}
for path, photons in wells.items():
    well = plate.create_group(path)
    well.attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}]}}
    field = well.create_group("0")
    image = rng.poisson(10 + photons * render("nuclei", 128, rng)).astype(np.uint16)
    field.create_array("0", data=image, chunks=(128, 128), dimension_names=["y", "x"])
    transformations = [{"type": "scale", "scale": [0.3, 0.3]}]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    datasets = [{"path": "0", "coordinateTransformations": transformations}]
    field.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}

# %%
# See what would be done, and do it.

print(api.plan_batch([folder / "screen.zarr"], folder / "restored", shared_range=True))
for item in api.restore_batch([folder / "screen.zarr"], folder / "restored", shared_range=True):
    print(item.name, item.state)

# %%
# The results are a plate again, with the same wells.

restored = zarr.open_group(folder / "restored" / "screen.zarr", mode="r")
print(json.dumps(restored.attrs["ome"]["plate"]["wells"]))
figure, panels = plt.subplots(2, 2, figsize=(6, 6), layout="constrained")
for column, path in enumerate(wells):
    for row, (name, group) in enumerate((("source", plate), ("restored", restored))):
        panels[row, column].imshow(group[f"{path}/0/0"][:], cmap="gray", vmin=0, vmax=75)
        panels[row, column].set_title(f"{path}, {name}")
        panels[row, column].axis("off")

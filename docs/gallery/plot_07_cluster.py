"""
A run on a Dask cluster
=======================

Two worker processes of this machine restore one image. Many machines work in the same way.
"""

# %%
# The source is stored, because workers read it themselves. The block below ``if __name__`` is needed in scripts that
# start processes.

import tempfile
from pathlib import Path

import numpy as np
import tifffile
from distributed import LocalCluster

from napari_restore import api

if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    image = np.random.default_rng(0).poisson(100, (4, 96, 96)).astype(np.uint16)
    tifffile.imwrite(folder / "noisy.tif", image)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        api.denoise(folder / "noisy.tif", folder / "clean.zarr", axes="ZYX", scheduler=cluster)
    here = api.denoise(folder / "noisy.tif", axes="ZYX").compute()
    found = api.verify(folder / "clean.zarr", recompute=1)
    print(found)
    print("sessions:", len(api.run_report(folder / "clean.zarr").content["sessions"]))

# %%
# ``recompute=1`` has computed a block again on this machine and compared it with what the workers stored.

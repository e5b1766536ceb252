"""The public functions, for scripts; the command line and the dock widgets call them too.

Importing this module loads neither torch nor napari nor Qt.

Examples
--------
>>> import numpy as np
>>> from napari_restore import api
>>> stack = np.random.default_rng(0).poisson(100, (2, 64, 64)).astype(np.uint16)
>>> clean = api.denoise(stack, axes="ZYX")
>>> clean.shape, clean.dtype
((2, 64, 64), dtype('uint16'))
"""

from napari_restore.api.adapting import adapt_for
from napari_restore.api.batch_plan import BatchItem, BatchPlan, BatchProgress
from napari_restore.api.batches import plan_batch, restore_batch, run_batch
from napari_restore.api.checking import assess, inspect, report, run_report, verify
from napari_restore.api.exporting.bioimageio import export_bioimageio
from napari_restore.api.exporting.onnx import export_onnx
from napari_restore.api.parts import neighbour_weights, part
from napari_restore.api.planning import load_recipe, open_image, plan
from napari_restore.api.restoring import denoise, iter_restore, restore, run, super_resolve
from napari_restore.api.saving import save_ome_zarr
from napari_restore.api.settings import DENOISER, UPSCALERS, Settings
from napari_restore.api.zoo import (
    adapt,
    convert_model,
    devices,
    fetch,
    model_card,
    models,
    recommend,
    upscaler,
    weights_size,
    weights_state,
)

__all__ = [
    "DENOISER",
    "UPSCALERS",
    "BatchItem",
    "BatchPlan",
    "BatchProgress",
    "Settings",
    "adapt",
    "adapt_for",
    "assess",
    "convert_model",
    "denoise",
    "devices",
    "export_bioimageio",
    "export_onnx",
    "fetch",
    "inspect",
    "iter_restore",
    "load_recipe",
    "model_card",
    "models",
    "neighbour_weights",
    "open_image",
    "part",
    "plan",
    "plan_batch",
    "recommend",
    "report",
    "restore",
    "restore_batch",
    "run",
    "run_batch",
    "run_report",
    "save_ome_zarr",
    "super_resolve",
    "upscaler",
    "verify",
    "weights_size",
    "weights_state",
]

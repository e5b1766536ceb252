"""Another program, in its own environment: ``python contender.py NAME noisy.npy result.npy SECONDS [FILE ...]``.

It imports nothing of this package. SECONDS is the processor time of the training; applying the network comes on top.
"""

from __future__ import annotations

import sys
import tempfile
import time

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def careamics(noisy: Plane, seconds: float, axes: str = "") -> Plane:
    """Noise2Void by CAREamics (Krull et al., CVPR 2019), structN2V (Broaddus et al., ISBI 2020) where axes are given.

    Its own defaults, with patches and batches that its tutorials use; as many steps as the time allows.
    """
    from careamics import CAREamist
    from careamics.config.factories.n2v_factory import create_n2v_config, create_structn2v_config
    from lightning.pytorch.callbacks import Callback

    class Until(Callback):
        def __init__(self) -> None:
            self.end = time.process_time() + seconds

        def on_train_batch_end(self, trainer: object, *arguments: object) -> None:
            trainer.should_stop = time.process_time() > self.end

    given = {
        "data_type": "array", "axes": "SYX", "patch_size": [64, 64], "batch_size": 16, "num_epochs": 1000,
        "num_steps": 20, "n_val_patches": max(1, noisy.size // 64**2 // 10),
    }  # fmt: skip
    config = create_structn2v_config("it", struct_n2v_axes=axes, **given) if axes else create_n2v_config("it", **given)
    with tempfile.TemporaryDirectory() as folder:
        network = CAREamist(config, work_dir=folder, callbacks=[Until()], enable_progress_bar=False)
        network.train(train_data=noisy)
        found, _ = network.predict(noisy, tile_size=(256, 256))
    return np.stack([np.asarray(each, np.float32).reshape(noisy.shape[1:]) for each in found[0].reshape(noisy.shape)])


def noise2vst(noisy: Plane, seconds: float, fitted: str, applied: str) -> Plane:
    """Noise2VST (Herbreteau & Unser, ICCV 2025): a curve on the intensities, around a network in TorchScript."""
    import torch
    from noise2vst.models.noise2vst import Noise2VST

    torch.manual_seed(0)
    values = torch.from_numpy(noisy)[:, None]
    inner, outer = torch.jit.load(fitted), torch.jit.load(applied)
    began = time.process_time()
    Noise2VST().fit(values, inner, nb_iterations=6)
    steps = int(seconds / ((time.process_time() - began) / 6))
    curve = Noise2VST()
    curve.fit(values, inner, nb_iterations=max(3, min(2000, steps)))
    with torch.no_grad():
        return np.concatenate([curve(plane[None], outer).numpy()[0] for plane in values])


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    name, source, result, budget, *files = sys.argv[1:]
    made = {"careamics": careamics, "noise2vst": noise2vst}[name](np.load(source), float(budget), *files)
    np.save(result, made)
    print(f"{time.process_time():.0f}")

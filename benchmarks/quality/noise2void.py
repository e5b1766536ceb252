"""Noise2Void by CAREamics as a row of `benchmarks.quality`: a network trained on the one image that it denoises.

Krull, Buchholz & Jug, "Noise2Void", CVPR 2019, with CAREamics' own defaults. It is stopped after so many seconds of
processor time, as it would be by somebody who waits for it at a small computer.
"""

from __future__ import annotations

import tempfile
import time

import numpy as np
from numpy.typing import NDArray

__all__ = ["SECONDS", "noise2void"]

SECONDS = 60.0
"""Processor time of one training."""


def noise2void(image: NDArray[np.generic]) -> NDArray[np.floating]:
    from careamics import CAREamist
    from careamics.config.factories.n2v_factory import create_n2v_config
    from lightning.pytorch.callbacks import Callback

    class Until(Callback):
        def __init__(self) -> None:
            self.end = time.process_time() + SECONDS

        def on_train_batch_end(self, trainer: object, *arguments: object) -> None:
            trainer.should_stop = time.process_time() > self.end

    plane = image.astype(np.float32)
    config = create_n2v_config(
        "quality", data_type="array", axes="YX", patch_size=[64, 64], batch_size=16, num_epochs=1000, num_steps=20
    )
    with tempfile.TemporaryDirectory() as folder:
        network = CAREamist(config, work_dir=folder, callbacks=[Until()], enable_progress_bar=False)
        network.train(train_data=plane)
        found, _ = network.predict(plane, tile_size=(256, 256))
    return np.asarray(found[0], np.float64).reshape(image.shape)

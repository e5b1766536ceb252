"""Sources that do harm to those who read them, for processes that import this by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np


class Poison:
    """A stack of noise, some planes of which kill, fail, or take their time: always, or until a file is there.

    Parameters
    ----------
    planes
        Which ones.
    harm
        "kill", "fail" or "wait" (until the file is there).
    until
        The file, which "kill" and "fail" leave behind; None: there is no end to it.
    """

    def __init__(self, shape: tuple[int, ...], planes: Collection[int], harm: str, until: Path | None = None) -> None:
        self.shape, self.dtype = shape, np.dtype(np.uint16)
        self.planes, self.harm, self.until = planes, harm, until
        self.here = os.getpid()

    def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
        if os.getpid() != self.here and any(z in self.planes for z in range(region[0].start, region[0].stop)):
            self._do_harm()
        planes = [np.random.default_rng(z).poisson(100, self.shape[1:]) for z in range(region[0].start, region[0].stop)]
        return np.asarray(planes, np.uint16)[:, region[1], region[2]]

    def _do_harm(self) -> None:
        if self.harm == "wait":
            while self.until is not None and not self.until.exists():
                time.sleep(0.02)
            return
        if self.until is not None:
            try:
                self.until.touch(exist_ok=False)
            except FileExistsError:
                return
        if self.harm == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("the plane is damaged")

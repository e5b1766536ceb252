"""A beat on the main thread, by which tests and `benchmarks/heartbeat.py` tell how long a window stands still.

`busy` is the processor time of the main thread between two beats: what the code takes, however busy the machine is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, QTimer


class Heartbeat(QObject):
    """A timer on the main thread that beats every 5 ms; `after` is called with each gap between two beats, in s."""

    def __init__(self, after: Callable[[float], None] | None = None) -> None:
        super().__init__()
        self._after, self._gaps, self._last = after, [0.0], time.perf_counter()
        self._busy, self._used = [0.0], time.thread_time()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = time.perf_counter()
        self._gaps.append(now - self._last)
        self._last = now
        used = time.thread_time()
        self._busy.append(used - self._used)
        self._used = used
        if self._after is not None:
            self._after(self._gaps[-1])

    def gaps(self) -> list[float]:
        """All gaps since the last call, in s."""
        self._beat()
        gaps, self._gaps = self._gaps, [0.0]
        return gaps

    def busy(self) -> list[float]:
        """Processor time of the main thread between two beats since the last call, in s."""
        self._beat()
        busy, self._busy = self._busy, [0.0]
        return busy

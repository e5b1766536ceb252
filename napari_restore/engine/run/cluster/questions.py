"""Call what may never answer (a worker that hangs, a scheduler that is suspended), and limit the wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Question", "within"]


class Question:
    """A call in another thread, which is left alone if it never returns.

    Parameters
    ----------
    call : callable
        Function without arguments that may hang.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call, self._asked = call, time.monotonic()
        self._answers: list[Any] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._ask, name="ask-cluster", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._answers.append(self._call())
        except BaseException as error:  # CancelledError is not an Exception; it is raised by `answer`
            self._error = error

    @property
    def seconds(self) -> float:
        """Time since the call began."""
        return time.monotonic() - self._asked

    def answered(self, seconds: float = 0.0) -> bool:
        """Wait up to some seconds, and return whether the call has ended."""
        self._thread.join(seconds)
        return bool(self._answers) or self._error is not None

    def answer(self) -> Any:
        """Return what the call has returned, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._answers[0]


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Call a function that may hang, and return its value, or None if it takes longer than `seconds` or fails."""
    question = Question(call)
    if not question.answered(seconds):
        return None
    try:
        return question.answer()
    except Exception:
        return None

"""What never answers is not waited for."""

from __future__ import annotations

import threading
from asyncio import CancelledError

import pytest

from napari_restore.engine.run.cluster.questions import Question, within


def test_questions() -> None:
    end = threading.Event()
    question = Question(lambda: end.wait(60))
    assert not question.answered(0.01) and question.seconds > 0
    assert within(0.01, lambda: end.wait(60)) is None
    end.set()
    assert question.answered(60) and question.answer() is True
    assert within(60, lambda: None) is None and within(60, lambda: [1]) == [1]


def test_errors_come_with_the_answer() -> None:
    def cancelled() -> None:
        raise CancelledError

    question = Question(cancelled)
    assert question.answered(60)
    with pytest.raises(CancelledError):
        question.answer()
    assert within(60, lambda: 1 / 0) is None

"""What never answers is not waited for."""

from __future__ import annotations

import os
import signal
import threading
from asyncio import CancelledError
from typing import Any

import dask
import pytest

from napari_restore.engine.hardware.device import CPU
from napari_restore.engine.run.cluster.questions import Question, within
from napari_restore.engine.run.cluster.workers import Cluster


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


@pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_worker_that_ends_while_it_is_asked(mortal_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are left are asked again, or the one that was started in its place."""
    pids, run, asked = mortal_client.run(os.getpid), mortal_client.run, []

    def killed(*arguments: Any, **more: Any) -> Any:
        if not asked:
            os.kill(next(iter(pids.values())), signal.SIGKILL)
        asked.append(more["workers"])
        return run(*arguments, **more)

    monkeypatch.setattr(mortal_client, "run", killed)
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        cluster = Cluster(mortal_client, CPU, {})
    assert len(asked) > 1 and len(asked[0]) == 2 and next(iter(pids)) not in asked[-1]
    assert len(cluster.openvino) == len(asked[-1]) > 0

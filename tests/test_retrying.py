from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from napari_restore import retrying
from napari_restore.errors import ChunkError
from napari_restore.retrying import DISK, Retries, retried


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(retrying, "sleep", pauses.append)
    return pauses


def failing(*errors: Exception) -> Callable[[], str]:
    """What fails so many times, and then does not."""
    left = list(errors)

    def operation() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return operation


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_it_waits_before_each_further_try(waited: list[float]) -> None:
    seen: list[str] = []
    policy = Retries((1, 2, 3), lambda error: isinstance(error, ValueError))
    assert retried(failing(), policy) == "done" and waited == []
    assert retried(failing(ValueError("a"), ValueError("b")), policy, lambda e: seen.append(str(e))) == "done"
    assert waited == [1, 2] and seen == ["a", "b"]


def test_the_last_error_is_raised(waited: list[float]) -> None:
    seen: list[Exception] = []
    with pytest.raises(ValueError, match="third"):
        retried(failing(*map(ValueError, ("first", "second", "third"))), Retries((1, 2), lambda e: True), seen.append)
    assert waited == [1, 2] and len(seen) == 2  # no try comes after the third


def test_what_does_not_pass_is_raised_at_once(waited: list[float]) -> None:
    with pytest.raises(KeyError):
        retried(failing(ValueError(), KeyError()), Retries((1, 2), lambda error: isinstance(error, ValueError)))
    assert waited == [1]
    with pytest.raises(KeyboardInterrupt):
        retried(failing(KeyboardInterrupt()), Retries((1, 2), lambda error: True))  # type: ignore[arg-type]
    assert waited == [1]


@pytest.mark.parametrize(("error", "passes"), [
    (OSError(errno.EIO, "I/O error"), True),
    (OSError(errno.ESTALE, "stale file handle"), True),
    (TimeoutError("no answer"), True),
    (ConnectionResetError("gone"), True),
    (raised_from(ChunkError("a chunk"), OSError(errno.EIO, "I/O error")), True),
    (OSError(errno.ENOSPC, "no space"), False),
    (OSError(errno.EROFS, "read-only"), False),
    (FileNotFoundError("an object store's, without a number"), False),
    (raised_from(ChunkError("a chunk"), FileNotFoundError(errno.ENOENT, "not there")), False),
    (raised_from(ChunkError("a chunk"), ValueError("damaged")), False),
    (MemoryError(), False),
])  # fmt: skip
def test_which_failures_of_a_disk_may_pass(error: Exception, passes: bool) -> None:
    assert DISK.may_pass(error) is passes

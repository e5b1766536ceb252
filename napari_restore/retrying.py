"""Retry operations that may fail for a moment.

Blocks that fail on a worker of a cluster are retried by other rules: see `napari_restore.engine.run.cluster.retries`.
"""

from __future__ import annotations

__all__ = ["DISK", "Retries", "retried"]

import errno
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Retries:
    """Policy of retries.

    Attributes
    ----------
    pauses : tuple of float
        Seconds to wait before each retry; there are as many retries as pauses.
    may_pass : callable
        Takes an error and returns whether a retry may succeed.
    """

    pauses: tuple[float, ...]
    may_pass: Callable[[Exception], bool]


def retried(
    operation: Callable[[], Result], policy: Retries, before_retry: Callable[[Exception], None] = lambda error: None
) -> Result:
    """Call an operation, and retry it after errors that may pass.

    Parameters
    ----------
    operation : callable
        Called without arguments.
    policy : Retries
        After which errors and pauses it is called again.
    before_retry : callable
        Called with the error before each retry.

    Returns
    -------
    Any
        What `operation` returns.

    Raises
    ------
    Exception
        The first error that cannot pass, or the error of the last retry.

    Examples
    --------
    >>> answers = iter([TimeoutError("busy"), 7])
    >>> def ask():
    ...     if isinstance(answer := next(answers), Exception):
    ...         raise answer
    ...     return answer
    >>> retried(ask, Retries((0.0,), lambda error: isinstance(error, TimeoutError)), print)
    busy
    7
    """
    for pause in policy.pauses:
        try:
            return operation()
        except Exception as error:
            if not policy.may_pass(error):
                raise
            before_retry(error)
        sleep(pause)
    return operation()


_LASTING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR}
"""Errors of a disk that remain after a retry. A missing file remains missing too."""


def _disk_may_pass(error: BaseException) -> bool:
    """Return whether an error, or the error that caused it, comes from a disk or a network and may pass."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            return cause.errno not in _LASTING
        cause = cause.__cause__
    return False


DISK = Retries(pauses=(0.1, 0.5, 2.0), may_pass=_disk_may_pass)
"""Policy for errors of disks and networks."""

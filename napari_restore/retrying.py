"""Trying again what has failed for a moment: how often, after what pauses, and of which errors that is worth it.

Blocks that fail on one worker of a cluster and are tried on another one have rules of their own, see
`napari_restore.engine.run.cluster.retries`.
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
    """When an operation that has failed is tried again.

    Attributes
    ----------
    pauses : tuple of float
        Seconds to wait before each further try; the first try needs none.
    may_pass : callable
        Takes an error, and tells whether another try may succeed.
    """

    pauses: tuple[float, ...]
    may_pass: Callable[[Exception], bool]


def retried(
    operation: Callable[[], Result], policy: Retries, before_retry: Callable[[Exception], None] = lambda error: None
) -> Result:
    """Do something that may fail for a moment, several times if need be.

    Parameters
    ----------
    operation : callable
        What is done.
    policy : Retries
        When it is tried again.
    before_retry : callable
        Called with each error after which it is.

    Raises
    ------
    Exception
        The first error that does not pass, or that of the last try.

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
"""Failures of a disk that another try does not mend; nor does it make a file that is not there."""


def _disk_may_pass(error: BaseException) -> bool:
    """Tell whether an error is a disk's or a network's, itself or what it was raised from, and not one that lasts."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            return cause.errno not in _LASTING
        cause = cause.__cause__
    return False


DISK = Retries(pauses=(0.1, 0.5, 2.0), may_pass=_disk_may_pass)
"""For what a disk or a network has failed."""

"""Error boundary of the public functions: whatever goes wrong in them becomes a `RestoreError` with a way out.

An expected error is a `RestoreError` already. Others come either from a library that read a damaged file, and are
raised with the name of that file; or from this package, and are raised as its own fault, with the address for reports.
Errors of the caller's code, such as a callback or an array of another type, pass unchanged.
"""

from __future__ import annotations

__all__ = ["bounded"]

import functools
import inspect
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from napari_restore.errors import OutOfMemory, RestoreError, UnexpectedError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_OURS = Path(__file__).parents[1]
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_MISTAKES = (
    AssertionError, AttributeError, IndexError, KeyError, NameError, NotImplementedError, TypeError, ZeroDivisionError,
)  # fmt: skip
"""Errors that are mistakes of this package if they are raised in it."""


def bounded(
    doing: str, kind: type[RestoreError] = RestoreError
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Make a function raise only `RestoreError`; a generator function also while it is iterated over.

    Parameters
    ----------
    doing : str
        What the function does, such as ``"opening"``. Messages name its first argument after these words.
    kind : type of RestoreError
        Class of the error to raise if a library fails.

    Returns
    -------
    callable
        Decorator of the function.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        signature = inspect.signature(function)

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def iterated(*arguments: Parameters.args, **named: Parameters.kwargs) -> Any:
                signature.bind(*arguments, **named)
                return steps(*arguments, **named)

            def steps(*arguments: Any, **named: Any) -> Any:
                try:
                    return (yield from cast(Any, function(*arguments, **named)))
                except Exception as error:
                    _raise_told(error, doing, arguments, kind)

            return iterated

        @functools.wraps(function)
        def called(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
            signature.bind(*arguments, **named)  # wrong arguments are the caller's TypeError
            try:
                return function(*arguments, **named)
            except Exception as error:
                _raise_told(error, doing, arguments, kind)
                raise AssertionError from error

        return called

    return decorate


def _raise_told(error: Exception, doing: str, arguments: tuple[Any, ...], kind: type[RestoreError]) -> None:
    """Raise the `RestoreError` for an error."""
    if isinstance(error, RestoreError):
        raise error
    what = f"{doing} {_named(arguments)}".rstrip()
    if isinstance(error, MemoryError):
        raise OutOfMemory(
            f"{what}: there is not enough memory ({error}); free some, or use another machine."
        ) from error
    origin = _origin(error)
    if origin == "theirs":
        raise error
    told = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
    if origin == "ours":
        raise UnexpectedError(
            f"{what} has failed because of a fault in napari-restore ({told}, in {_place(error)}); please report this "
            f"with the call{_tracker()}."
        ) from error
    raise kind(
        f"{what} has failed ({told[:600]}); check that what it reads is whole and can be reached. If other programs "
        f"read it, please report this{_tracker()}."
    ) from error


def _named(arguments: tuple[Any, ...]) -> str:
    """Return the name of the first argument of a function, if it is a path or has a location."""
    first = arguments[0] if arguments else None
    first = getattr(getattr(first, "image", None), "location", None) or first  # of a plan
    return str(first)[:300] if isinstance(first, str | Path) else ""


def _origin(error: Exception) -> str:
    """Return whose code raised an error: "ours" (this package), "library", or "theirs" (the caller's callback)."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    last = max((i for i, file in enumerate(files) if file.is_relative_to(_OURS)), default=-1)
    if last == len(files) - 1:
        return "ours" if isinstance(error, _MISTAKES) else "library"
    behind = files[last + 1]
    known = any(behind.is_relative_to(folder) for folder in _LIBRARIES) or behind.name.startswith("<")
    return "library" if known else "theirs"


def _place(error: Exception) -> str:
    trace: TracebackType | None = error.__traceback__
    frame = traceback.extract_tb(trace)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"


def _tracker() -> str:
    """Return where faults are to be reported, as far as the metadata of the installed package says."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        urls = metadata("napari-restore").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    named = dict(url.split(", ", 1) for url in urls if ", " in url)
    found = next((url for name, url in named.items() if name.lower() in ("issues", "bug tracker", "tracker")), None)
    return f" at {found}" if found else " to its developers (`pip show --verbose napari-restore` names them)"

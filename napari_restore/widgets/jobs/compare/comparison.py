"""The source and the result that are compared."""

from __future__ import annotations

__all__ = ["Comparison"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.widgets.jobs.results import Result


@dataclass(frozen=True, eq=False)
class Comparison:
    """A source and its result: what Before, wipe, grid, difference and figures all are of.

    Attributes
    ----------
    source, axes
        The layer that was restored, and one letter per axis of its data.
    results
        The layers of the result: one, or one for each channel.
    plan
        How the result was made.
    origin
        First row and column of the result layers in the plan's result.
    """

    source: Any
    axes: str
    results: tuple[Any, ...]
    plan: Plan
    origin: tuple[int, int]

    @classmethod
    def of(cls, result: Result, layers: list[Any]) -> Comparison:
        """Compare the source of a result with the layers that show it."""
        return cls(result.source, result.axes, tuple(layers), result.plan, result.origin)

"""The source and the result that are compared, and those that were compared before."""

from __future__ import annotations

__all__ = ["Comparison", "History"]

from collections.abc import Collection, Iterator
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
    preview
        Whether it is of a preview.
    """

    source: Any
    axes: str
    results: tuple[Any, ...]
    plan: Plan
    origin: tuple[int, int]
    preview: bool = False

    @classmethod
    def of(cls, result: Result, layers: list[Any]) -> Comparison:
        """Compare the source of a result with the layers that show it."""
        return cls(result.source, result.axes, tuple(layers), result.plan, result.origin, result.preview)

    def __str__(self) -> str:
        return f"{self.source.name} ▸ {self.plan.card.name}{', preview' if self.preview else ''}"


class History:
    """What can be compared, the latest first.

    Layers are compared by ``==``: napari gives a plugin another proxy of a layer each time.
    """

    def __init__(self) -> None:
        self._all: list[Comparison] = []

    def add(self, comparison: Comparison) -> None:
        """Add a comparison, in place of an earlier one of the same layers."""
        self._all = [other for other in self._all if not _share(other.results, comparison.results)]
        self._all.insert(0, comparison)

    def prune(self, layers: Collection[Any]) -> None:
        """Forget what is not to be seen any more: its source, or all layers of its result, are not among these."""
        self._all = [each for each in self._all if each.source in layers and _share(each.results, layers)]

    def names(self) -> list[str]:
        """What each is called; later ones of the same name are numbered."""
        found: list[str] = []
        for comparison in reversed(self._all):
            name, number = str(comparison), 1
            while (numbered := name if number == 1 else f"{name} {number}") in found:
                number += 1
            found.append(numbered)
        return found[::-1]

    def of(self, source: Any) -> Comparison | None:
        """The latest of a source."""
        return next((each for each in self._all if each.source == source), None)

    def results_of(self, source: Any) -> list[Any]:
        """All result layers of a source."""
        return [layer for each in self._all if each.source == source for layer in each.results]

    def __contains__(self, comparison: object) -> bool:
        return comparison in self._all

    def __getitem__(self, index: int) -> Comparison:
        return self._all[index]

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def index(self, comparison: Comparison) -> int:
        """Which one it is."""
        return self._all.index(comparison)


def _share(some: Collection[Any], others: Collection[Any]) -> bool:
    return any(layer in others for layer in some)

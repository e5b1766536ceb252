"""The source and result that are compared, and the history of earlier ones."""

from __future__ import annotations

__all__ = ["Comparison", "History"]

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.widgets.jobs.results import Result


@dataclass(eq=False)
class Comparison:
    """A source and its result, which Before, wipe, grid, difference and figures compare.

    Attributes
    ----------
    source : napari.layers.Image
        The layer that was restored.
    axes : str
        One letter of TCZYXS for each axis of its data.
    results : tuple of napari.layers.Image
        The layers of the result: one, or one for each channel.
    plan : Plan
        The plan of the result.
    origin : tuple of int
        First row and column of the result layers in the plan's result.
    preview : bool
        Whether the result is a preview.
    whole : bool
        Whether the result covers the whole source.
    complete : bool
        Whether all pixels of the result are restored. It becomes true when the run ends.
    blending : tuple of str
        Blending of the result layers where they cover their source.
    label : str
        Short name of the model, and a number if there are other results of it.
    """

    source: Any
    axes: str
    results: tuple[Any, ...]
    plan: Plan
    origin: tuple[int, int]
    preview: bool = False
    whole: bool = False
    complete: bool = True
    blending: tuple[str, ...] = ()
    label: str = ""

    @classmethod
    def of(cls, result: Result, layers: list[Any]) -> Comparison:
        """Make the comparison of a result from the layers that show it."""
        return cls(
            result.source, result.axes, tuple(layers), result.plan, result.origin, result.preview, result.whole,
            complete=result.preview, blending=result.blending, label=result.label,
        )  # fmt: skip

    @property
    def covers(self) -> bool:
        """Whether nothing of the source is to be seen beside the result."""
        return self.whole and self.complete

    def __str__(self) -> str:
        return f"{self.source.name} ▸ {self.label}{', preview' if self.preview else ''}"


class History:
    """All comparisons that can be chosen, the latest first.

    Layers are compared by ``==``, not by ``is``: napari gives a plugin a new proxy of a layer at each access.
    """

    def __init__(self) -> None:
        self._all: list[Comparison] = []

    def add(self, comparison: Comparison) -> None:
        """Add a comparison. It replaces earlier ones of the same layers."""
        self._all = [other for other in self._all if not _share(other.results, comparison.results)]
        self._all.insert(0, comparison)

    def prune(self, layers: Collection[Any]) -> None:
        """Drop comparisons whose source, or whose result layers, are not in `layers`."""
        self._all = [each for each in self._all if each.source in layers and _share(each.results, layers)]

    def names(self) -> list[str]:
        """Return a name for each comparison; later ones of the same name are numbered."""
        found: list[str] = []
        for comparison in reversed(self._all):
            name, number = str(comparison), 1
            while (numbered := name if number == 1 else f"{name} {number}") in found:
                number += 1
            found.append(numbered)
        return found[::-1]

    def of(self, source: Any) -> Comparison | None:
        """Return the latest comparison of a source, or None."""
        return next((each for each in self._all if each.source == source), None)

    def results_of(self, source: Any) -> list[Any]:
        """Return all result layers of a source."""
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
        """Return the index of a comparison."""
        return self._all.index(comparison)


def _share(some: Collection[Any], others: Collection[Any]) -> bool:
    return any(layer in others for layer in some)

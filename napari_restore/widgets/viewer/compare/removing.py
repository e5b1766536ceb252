"""Remove results from the layer list."""

from __future__ import annotations

__all__ = ["remove_results"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_restore.widgets.jobs.compare.comparison import Comparison
from napari_restore.widgets.threads.turns import Steps
from napari_restore.widgets.viewer.compare.difference import differences_of
from napari_restore.widgets.viewer.removal import remove_layers

if TYPE_CHECKING:
    from napari.viewer import Viewer


def remove_results(viewer: Viewer, comparisons: Sequence[Comparison]) -> Steps:
    """Remove the results of comparisons, and their differences, one layer for each step.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    comparisons : sequence of Comparison
        The comparisons. Their sources stay.

    Yields
    ------
    None
        After each layer: see `remove_layers`.
    """
    for each in comparisons:
        yield from remove_layers(viewer, [*each.results, *differences_of(viewer, str(each))])

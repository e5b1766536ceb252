"""Measure what a comparison shows on screen, now and after each change of the view."""

from __future__ import annotations

__all__ = ["Measuring"]

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_restore.widgets.jobs.compare.comparison import Comparison
from napari_restore.widgets.jobs.compare.figures import Measures, measure_pair
from napari_restore.widgets.jobs.compare.pairs import Pair, Planes
from napari_restore.widgets.viewer.compare.reading import PairReader

if TYPE_CHECKING:
    from napari.viewer import Viewer

_JUDGED = 512
"""Most source pixels along Y and X that are measured without being asked for."""
_MEASURED = 2048
"""Most source pixels along Y and X for figures; of a larger region, the centre is read."""


class Measuring(QObject):
    """Figures of the pixels on screen: those of the bar on the canvas, and those that the user has asked for.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer of the layers.
    reader : PairReader
        Reads the pixels.
    tell : callable
        Shows a line of text; takes a keyword `warning`.
    parent : QObject
        Parent of this object.
    """

    measured = Signal(str, object)
    """Name of the comparison, and its `Measures` that the user asked for; None removes earlier ones."""
    judged = Signal(object)
    """`Measures` of the current comparison, without being asked for; None: there are none."""
    outdated = Signal()
    """The view has moved: what was measured is of other pixels, until it is measured again."""

    def __init__(self, viewer: Viewer, reader: PairReader, tell: Callable[..., None], parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._reader, self._tell = viewer, reader, tell
        self._asked: tuple[Sequence[Any], str | None] | None = None

    def measure(self, comparison: Comparison | None, references: Sequence[Any], reference_name: str | None) -> None:
        """Measure the region on screen now, and each time that `repeat` is called.

        Of several channels, the one whose result layer is selected is measured.

        Parameters
        ----------
        comparison : Comparison or None
            What is measured.
        references : sequence of napari.layers.Image
            Layers that may be the reference.
        reference_name : str or None
            Name of the reference layer; None: one is searched for by name.
        """
        self._asked = references, reference_name
        self._measure(comparison, self._tell_failure)

    def judge(self, comparison: Comparison | None) -> None:
        """Measure the middle of the region on screen for the bar, if there is a complete result on it."""
        if comparison is None or not comparison.complete:
            self._reader.drop("judge")
            self.judged.emit(None)
            return

        def show(found: tuple[Any, Any, Measures]) -> None:
            self.judged.emit(found[2])

        self._reader.read(comparison, "judge", show, _measures(comparison, [], None), self.drop, largest=_JUDGED)

    def repeat(self, comparison: Comparison | None) -> None:
        """Measure again what is on screen now."""
        if self._asked is None:
            self.judge(comparison)
        else:
            self._measure(comparison, self.drop)

    def drop(self, failure: str = "") -> None:
        """Show no figures, and drop those that are being measured."""
        self._asked = None
        for name in ("figures", "judge"):
            self._reader.drop(name)
        self.measured.emit("", None)
        self.judged.emit(None)

    def _tell_failure(self, text: str) -> None:
        self.drop()
        self._tell(text, warning=True)

    def _measure(self, comparison: Comparison | None, failed: Callable[[str], None]) -> None:
        references, name = self._asked or ((), None)
        sources = [layer for layer in references if comparison is None or layer != comparison.source]

        def show(found: tuple[Any, Any, Measures]) -> None:
            self.measured.emit(str(comparison), found[2])
            self.judged.emit(found[2])

        selected = self._viewer.layers.selection.active
        self._reader.drop("judge")  # its figures are those of fewer pixels
        self._reader.read(
            comparison, "figures", show, _measures(comparison, sources, name), failed, first=selected, largest=_MEASURED
        )


def _measures(comparison: Comparison | None, references: list[Any], name: str | None) -> Callable[..., Measures]:
    """Return a function that measures the first of the pairs and planes that it is given."""

    def measures(pairs: list[Pair], planes: list[Planes]) -> Measures:
        assert comparison is not None
        return measure_pair(comparison, pairs[0], planes[0], references, name)

    return measures

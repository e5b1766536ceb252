"""Swap, wipe, grid, difference and figures, on the layers of a viewer."""

from __future__ import annotations

__all__ = ["DIFFERENCE", "HOLD_KEY", "CompareTools"]

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_restore.errors import RestoreError
from napari_restore.widgets.jobs.compare.comparison import Comparison
from napari_restore.widgets.jobs.compare.figures import plane_figures
from napari_restore.widgets.jobs.compare.pairs import Pair, Planes, find_pairs, find_reference, tile_borders
from napari_restore.widgets.jobs.controller import Works
from napari_restore.widgets.viewer.live_view import LiveView
from napari_restore.widgets.viewer.wipe import Wipe

if TYPE_CHECKING:
    from napari.viewer import Viewer

HOLD_KEY = "H"
"""Held while the canvas has the focus, it shows the source."""
DIFFERENCE = "difference · before − after"
_SHOWN = 1536
"""Most source pixels along Y and X that a wipe or a difference shows; of more, every second or third is taken."""
_MEASURED = 2048
"""Most source pixels along Y and X that figures are measured on: the middle of what is on screen."""


class CompareTools(QObject):
    """Everything that compares one source with its result.

    Pixels are read on a worker thread; layers belong to the main thread.

    Parameters
    ----------
    viewer
        Where the layers are.
    works
        Reads and computes.
    tell
        Shows a line of text.
    parent
        Of the timers.

    Attributes
    ----------
    comparison
        What is compared; None as long as there is no result.
    """

    compared = Signal(bool)
    """Whether there is something to compare."""
    wipe_dragged = Signal(float)
    """The part of the width that shows the source, as it was dragged on the canvas."""
    references_listed = Signal(list)
    """Names of the layers that may be a reference."""
    measured = Signal(list)
    """Figures, each with its meaning."""

    def __init__(self, viewer: Viewer, works: Works, tell: Callable[..., None], parent: QObject) -> None:
        super().__init__(parent)
        self.viewer, self._works, self._tell = viewer, works, tell
        self.comparison: Comparison | None = None
        self.wipe = Wipe(viewer, self.wipe_dragged.emit)
        self.view = LiveView(viewer, self)
        self._held = False
        self._before_grid: dict[Any, bool] = {}
        self.view.rested.connect(self._wipe_again)
        viewer.layers.events.inserted.connect(self.list_references)
        viewer.layers.events.removed.connect(self.list_references)

    def compare(self, comparison: Comparison) -> None:
        """Compare these layers from now on. The source is hidden: most blending would add the result to it."""
        self.comparison = comparison
        if not self._before_grid:
            comparison.source.visible = False
        self.compared.emit(True)
        # The dock widget that showed a result last has the key.
        self.viewer.bind_key(HOLD_KEY, self._hold, overwrite=True)
        self._wipe_again()

    def end(self) -> None:
        """Take everything back: layers of the wipe, grid, key, and all that follows the viewer."""
        self.view.follow(False)
        self.wipe.end()
        self.show_grid(False)
        bound = self.viewer.bind_key(HOLD_KEY, None)
        if bound is not None and bound != self._hold:
            self.viewer.bind_key(HOLD_KEY, bound)  # it is another dock widget's by now
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            event.disconnect(self.list_references)

    def list_references(self, event: object = None) -> None:
        """Tell which layers may be a reference: images that were not made here."""
        self.references_listed.emit([layer.name for layer in self._references()])

    def _references(self) -> list[Any]:
        images = [layer for layer in self.viewer.layers if layer.__class__.__name__ == "Image"]
        return [layer for layer in images if "napari_restore" not in layer.metadata]

    # ------------------------------------------------------------------------------------------- swap

    def _hold(self, viewer: Viewer) -> Generator[None, None, None]:
        """Show the source while the key is held."""
        self.swap(True)
        yield
        self.swap(False)

    def swap(self, before: bool) -> None:
        """Show the source instead of the results, or the results again."""
        self._held = before
        if self.comparison is None:
            return
        if self.wipe.active and self.wipe.line is not None:
            self.wipe.peek(1.0 if before else None)
        elif "C" in self.comparison.axes:
            # The source shows one channel at a time; beside the results' composite belongs one of its own.
            self._show_composite() if before else self.wipe.end()
        else:
            for layer in self._there():
                layer.visible = not before
            self.comparison.source.visible = before

    def _show_composite(self) -> None:
        def show(found: tuple[list[Pair], list[Planes]]) -> None:
            if self._held:
                self.wipe.begin(found[0], found[1], 1.0, line=False)

        self._read(show, largest=_SHOWN, sparse=True)

    # ------------------------------------------------------------------------------------------- wipe

    def wipe_to(self, fraction: float) -> None:
        """Show the source in this part of the width of what is on screen, and the result in the rest; 0 ends it."""
        if fraction == 0:
            self.view.follow(False)
            self.wipe.end()
        elif self.wipe.active:
            self.wipe.move(fraction)
        else:
            self.wipe.fraction = fraction
            self.view.follow(True)
            self._wipe_again()

    def _wipe_again(self) -> None:
        """Wipe what is on screen now."""
        if not self.view.following:
            return

        def show(found: tuple[list[Pair], list[Planes]]) -> None:
            if self.view.following:
                self.wipe.begin(found[0], found[1], self.wipe.fraction)

        self._read(show, largest=_SHOWN, sparse=True)

    # ------------------------------------------------------------------------------------------- grid

    def show_grid(self, wanted: bool) -> None:
        """Show source and results side by side, or everything as it was before."""
        grid = self.viewer.canvas.grid
        if wanted and self.comparison is not None and not self._before_grid:
            self._before_grid = {layer: layer.visible for layer in self.viewer.layers}
            compared = [self.comparison.source, *self._there()]
            for layer in self.viewer.layers:
                layer.visible = layer in compared
            grid.stride, grid.shape, grid.enabled = 1, (-1, len(compared) if len(compared) < 4 else -1), True
        elif not wanted and self._before_grid:
            grid.enabled = False
            for layer, visible in self._before_grid.items():
                layer.visible = visible
            self._before_grid = {}

    # ------------------------------------------------------------------------- difference and figures

    def add_difference(self) -> None:
        """Add layers of before minus after, white where nothing was changed."""

        def differences(pairs: list[Pair], planes: list[Planes]) -> list[Any]:
            return [plane.stretched.astype(np.float32) - plane.after for plane in planes]

        def show(found: tuple[list[Pair], list[Planes], list[Any]]) -> None:
            for number, (_, plane, difference) in enumerate(zip(*found, strict=True)):
                self._show_difference(
                    DIFFERENCE if len(found[0]) == 1 else f"{DIFFERENCE} · {number}", plane, difference
                )

        self._read(show, differences, largest=_SHOWN, sparse=True)

    def _show_difference(self, name: str, plane: Planes, difference: Any) -> None:
        placed = {key: value for key, value in plane.placed.items() if key not in ("shape", "axes")}
        if name in self.viewer.layers:
            self.viewer.layers.remove(name)
        gray = difference.mean(axis=-1) if difference.ndim == 3 else difference
        y, x = (plane.placed["axes"].index(letter) for letter in "YX")
        reach = float(np.percentile(np.abs(gray), 99.5)) or 1.0
        ordered = (gray if y < x else gray.T).reshape(plane.placed["shape"][: len(placed["scale"])])
        self.viewer.add_image(
            ordered, name=name, metadata={"napari_restore": {"comparison": True}}, rgb=False,
            contrast_limits=(-reach, reach), colormap="PiYG", **placed,
        )  # fmt: skip

    def measure(self, reference_name: str | None = None) -> None:
        """Measure what is on screen: of several channels, the one whose result is chosen in the layer list.

        Parameters
        ----------
        reference_name
            Of the layer that is known to be right; if left out, one is looked for by its name.
        """
        active, comparison = self.viewer.layers.selection.active, self.comparison
        references = [layer for layer in self._references() if comparison is None or layer is not comparison.source]

        def figures(pairs: list[Pair], planes: list[Planes]) -> list[tuple[str, str]]:
            pair, plane = pairs[0], planes[0]
            assert comparison is not None
            reference = find_reference(references, reference_name, comparison.source, plane.placed)
            first = np.round(pair.result.world_to_data(plane.placed["affine"](plane.placed["translate"]))).astype(int)
            y, x = (plane.placed["axes"].index(letter) for letter in "YX")
            where = tuple(
                (int(first[a]), int(first[a]) + n) for a, n in zip((y, x), plane.after.shape[:2], strict=True)
            )
            borders = tile_borders(comparison.plan, comparison.origin, where)  # type: ignore[arg-type]
            return plane_figures(plane.before, plane.after, reference=reference, borders=borders)

        def show(found: tuple[Any, Any, list[tuple[str, str]]]) -> None:
            self.measured.emit(found[2])

        self._read(show, figures, first=active, largest=_MEASURED)

    # ------------------------------------------------------------------------------------------ reading

    def _there(self) -> list[Any]:
        results = () if self.comparison is None else self.comparison.results
        return [layer for layer in results if layer in self.viewer.layers]

    def _read(self, show: Any, compute: Any = None, *, first: Any = None, **how: Any) -> None:
        """Read what is on screen on a worker thread, compute something of it there, and show it."""
        try:
            if self.comparison is None or not self._there():
                raise RestoreError("there is no result to compare yet; make a preview or a run first.")
            if self.viewer.dims.ndisplay != 2:
                raise RestoreError("planes are compared in the 2D view; leave the 3D view first.")
            pairs = find_pairs(
                self.comparison.source, self.comparison.axes, self.comparison.results, self.viewer.dims.point
            )
        except RestoreError as error:
            self._tell(str(error), warning=True)
            return
        pairs.sort(key=lambda pair: pair.result is not first)

        def start(stop: threading.Event) -> Generator[Any, None, None]:
            planes = [pair.read(**how) for pair in pairs]
            yield (pairs, planes) if compute is None else (pairs, planes, compute(pairs, planes))

        def ended(error: BaseException | None) -> None:
            if error is not None:
                self._tell(str(error), warning=True)

        self._works.start(f"compare {show.__qualname__}", start, show, ended)

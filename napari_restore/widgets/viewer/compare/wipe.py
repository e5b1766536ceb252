"""Show a wipe on the canvas: the source left of a line that the mouse can drag, and the result right of it."""

from __future__ import annotations

__all__ = ["LINE", "WIPE", "Wipe"]

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.widgets.jobs.compare.pairs import Pair, Planes
from napari_restore.widgets.threads.turns import Steps, Turns
from napari_restore.widgets.viewer.adding import add_hidden

if TYPE_CHECKING:
    from napari.viewer import Viewer

WIPE, LINE = "wipe · before | after", "wipe · drag this line"
_OURS = {"napari_restore": {"comparison": True}}
_REACH = 12.0
"""Distance in screen pixels within which the mouse can drag the line."""
_WIDTH, _HANDLE = 2.0, 18.0
"""Width of the line and size of its handle, in screen pixels."""


class Wipe:
    """The layers of a wipe, one for each result layer, and the line between source and result.

    napari takes a tenth of a second or more to add or remove a layer, so layers are added and removed in steps.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    turns : Turns
        The queue that runs the steps.
    moved : callable
        Called with the fraction of the width that shows the source, when the line is dragged.

    Attributes
    ----------
    active : bool
        Whether the whole wipe is on the canvas.
    begun : bool
        Whether it is, or its layers are being added.
    """

    def __init__(self, viewer: Viewer, turns: Turns, moved: Callable[[float], None]) -> None:
        self.viewer, self.moved = viewer, moved
        self.fraction = self._kept = 0.5
        self.layers: list[Any] = []
        self.line: Any = None
        self.active = self.begun = False
        self._turns = turns
        self._number = 0
        self._results: list[Any] = []
        self._hidden: list[Any] = []
        self._removed: list[Any] = []
        self._planes: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._placed: dict[str, Any] = {}

    def begin(self, pairs: Sequence[Pair], planes: Sequence[Planes], fraction: float, *, line: bool = True) -> None:
        """Show a wipe of these pixels, in place of the current one.

        Parameters
        ----------
        pairs : sequence of Pair
            One for each result layer.
        planes : sequence of Planes
            The pixels that were read of each pair.
        fraction : float
            The fraction of the width that shows the source, 0 to 1.
        line : bool
            Whether there is a line to drag.
        """
        results = [pair.result for pair in pairs]
        again = self.active and self._results == results and (self.line is not None) == line
        if not again:
            self.end()
        self._planes = [(plane.stretched, plane.after) for plane in planes]
        self._placed, self._results = planes[0].placed, results
        self.fraction = fraction
        if again:
            self._change(planes)
            self.move(fraction)
        else:
            self.begun = True
            self._turns.take(self._add(self._number, planes, line))

    def _change(self, planes: Sequence[Planes]) -> None:
        """Show other pixels on the same layers: napari takes long to remove layers."""
        for layer, result, plane in zip(self.layers, self._results, planes, strict=True):
            layer.data = self._data(plane)
            for name, value in _appearance(result).items():
                setattr(layer, name, value)
        for layer in (*self.layers, *([] if self.line is None else [self.line])):
            layer.scale, layer.translate = self._placed["scale"], self._placed["translate"]

    def _add(self, number: int, planes: Sequence[Planes], line: bool) -> Steps:
        """Add the layers of a wipe, unless it has ended meanwhile."""
        from napari.layers import Image, Shapes

        if self._number != number:
            return
        shared = {"metadata": _OURS, "visible": False, **self._placement()}
        made: list[Any] = []
        for index, (result, plane) in enumerate(zip(self._results, planes, strict=True)):
            name = WIPE if len(planes) == 1 else f"{WIPE} · {index}"
            made.append(Image(self._data(plane), name=name, rgb=result.rgb, **shared, **_appearance(result)))
        if line:
            made.append(Shapes(ndim=len(self._placed["scale"]), name=LINE, opacity=0.9, **shared))
        for layer in made:
            yield
            if self._number != number:
                return
            added = yield from add_hidden(self.viewer, self._turns, layer)
            if self._number != number:
                self._removed.append(added)
                yield from self._remove()
                return
            self.layers.append(added)
        if line:
            self._add_line(self.layers.pop())
        self._draw()
        self._hidden = [result for result in self._results if result.visible]
        for layer, result in zip(list(self.layers), list(self._results), strict=True):
            layer.visible = True  # napari slices it and compiles its shaders
            result.visible = False
            yield
            if self._number != number:
                return
        if self.line is not None:
            self.line.visible = True
        self.active = True
        self._draw()  # the fraction may have changed

    def _data(self, plane: Planes) -> NDArray[Any]:
        return self._ordered(plane.after.astype(np.result_type(plane.before, plane.after)))

    def _placement(self) -> dict[str, Any]:
        """Return the keyword arguments that place a layer over the result."""
        return {key: value for key, value in self._placed.items() if key not in ("shape", "axes")}

    def _ordered(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a plane with the axes of the result."""
        y, x = (self._placed["axes"].index(letter) for letter in "YX")
        return (plane if y < x else plane.swapaxes(0, 1)).reshape(self._placed["shape"])

    def _add_line(self, line: Any) -> None:
        self.line = line
        self.viewer.mouse_drag_callbacks.append(self._drag)
        self.viewer.mouse_move_callbacks.append(self._hover)
        self.viewer.scene.camera.events.zoom.connect(self._draw_line)

    def end(self) -> None:
        """Show the result again, and remove the wipe from the canvas."""
        if self.line is not None:
            self.viewer.mouse_drag_callbacks.remove(self._drag)
            self.viewer.mouse_move_callbacks.remove(self._hover)
            self.viewer.scene.camera.events.zoom.disconnect(self._draw_line)
        ours, hidden = [*self.layers, *([] if self.line is None else [self.line])], self._hidden
        self.layers, self.line, self._planes, self._results, self._hidden = [], None, [], [], []
        self.active = self.begun = False
        self._number += 1
        for layer in hidden:
            layer.visible = True
        if ours:
            for layer in ours:
                layer.visible = False
            self._removed += ours
            self._turns.take(self._remove())

    def leave(self) -> None:
        """End the wipe without steps: the dock widget is closed, and with it the queue."""
        self.end()
        for _ in self._remove():
            pass

    def _remove(self) -> Steps:
        while self._removed:
            layer = self._removed.pop()
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
                yield

    def is_incomplete(self) -> bool:
        """Return whether one of its layers has been removed."""
        ours = [*self.layers, *([] if self.line is None else [self.line])]
        return any(layer not in self.viewer.layers for layer in ours)

    def move(self, fraction: float) -> None:
        """Show the source in this fraction of the width."""
        self.fraction = min(max(fraction, 0.0), 1.0)
        if self.active:
            self._draw()

    def _draw(self) -> None:
        for layer, (before, after) in zip(self.layers, self._planes, strict=True):
            column = round(self.fraction * after.shape[1])
            layer.data[...] = self._ordered(np.concatenate([before[:, :column], after[:, column:]], axis=1))
            layer.refresh(extent=False, highlight=False, thumbnail=False)
        self._draw_line()

    def peek(self, fraction: float | None) -> None:
        """Show another fraction for a while; None: show the earlier one again."""
        kept = self.fraction
        self.move(self._kept if fraction is None else fraction)
        self._kept = kept

    def _pixel(self, letter: str) -> float:
        """Return the length of a pixel along an axis, in screen pixels."""
        step = float(self._placed["scale"][self._placed["axes"].index(letter)])
        return step * float(self.viewer.scene.camera.zoom)

    def _draw_line(self, event: object = None) -> None:
        if self.line is None or not self._planes:
            return
        height, width = self._planes[0][1].shape[:2]
        column, middle = self.fraction * width - 0.5, (height - 1) / 2
        down, across = (_HANDLE / 2 / self._pixel(letter) for letter in "YX")
        handle = [(middle - down, column - across), (middle - down, column + across),
                  (middle + down, column + across), (middle + down, column - across)]  # fmt: skip
        shapes = [([(-0.5, column), (height - 0.5, column)], "line"), (handle, "ellipse")]
        self.line.data = [(self._vertices(corners), kind) for corners, kind in shapes]
        self.line.edge_width = [_WIDTH / self._pixel("X")] * 2
        self.line.edge_color = ["white", "black"]
        self.line.face_color = ["white", "white"]

    def _vertices(self, corners: Sequence[tuple[float, float]]) -> NDArray[Any]:
        """Convert rows and columns to points with all axes of the layer."""
        vertices = np.zeros((len(corners), len(self._placed["scale"])))
        for axis, letter in enumerate("YX"):
            vertices[:, self._placed["axes"].index(letter)] = [corner[axis] for corner in corners]
        return vertices

    def _column_of(self, position: Sequence[float]) -> float:
        """Return the column of the planes at a world position."""
        point = self.line.world_to_data(np.asarray(position)[-self.line.ndim :])
        return float(point[self._placed["axes"].index("X")])

    def _is_near(self, position: Sequence[float]) -> bool:
        column = self.fraction * self._planes[0][1].shape[1] - 0.5
        return bool(abs(self._column_of(position) - column) * self._pixel("X") <= _REACH)

    def _hover(self, viewer: Viewer, event: Any) -> None:
        self.viewer.cursor.style = "pointing" if self._is_near(event.position) else "standard"

    def _drag(self, viewer: Viewer, event: Any) -> Generator[None, None, None]:
        if not self._is_near(event.position):
            return
        camera = self.viewer.scene.camera
        panned, camera.mouse_pan = camera.mouse_pan, False  # the drag must not pan the view
        try:
            yield
            while event.type == "mouse_move" and self.active:
                self.move((self._column_of(event.position) + 0.5) / self._planes[0][1].shape[1])
                self.moved(self.fraction)
                yield
        finally:
            camera.mouse_pan = panned


def _appearance(result: Any) -> dict[str, Any]:
    """Return how a result layer is drawn, as keyword arguments of a layer."""
    names = ("gamma", "blending", "opacity") if result.rgb else (
        "gamma", "blending", "opacity", "contrast_limits", "colormap"
    )  # fmt: skip
    return {name: getattr(result, name) for name in names}

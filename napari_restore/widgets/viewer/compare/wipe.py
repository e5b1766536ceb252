"""Show a wipe on the canvas: the source left of a line that the mouse can drag, and the result right of it."""

from __future__ import annotations

__all__ = ["LINE", "WIPE", "Wipe"]

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.widgets.jobs.compare.pairs import Pair, Planes

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

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    moved : callable
        Called with the fraction of the width that shows the source, when the line is dragged.
    """

    def __init__(self, viewer: Viewer, moved: Callable[[float], None]) -> None:
        self.viewer, self.moved = viewer, moved
        self.fraction = self._kept = 0.5
        self.layers: list[Any] = []
        self.line: Any = None
        self._planes: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._placed: dict[str, Any] = {}
        self._hidden: list[Any] = []

    @property
    def active(self) -> bool:
        """Whether the wipe is on the canvas."""
        return bool(self.layers)

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
        active = self.viewer.layers.selection.active
        self.end()
        self._hidden = [pair.result for pair in pairs if pair.result.visible]
        self._planes = [(plane.stretched, plane.after) for plane in planes]
        self._placed = planes[0].placed
        for number, (pair, plane) in enumerate(zip(pairs, planes, strict=True)):
            name = WIPE if len(pairs) == 1 else f"{WIPE} · {number}"
            self.layers.append(self._add_layer(name, pair.result, plane))
        if line:
            self._add_line()
        for layer in self._hidden:
            layer.visible = False
        self.move(fraction)
        # The selection stays that of the user.
        if active in self.viewer.layers:
            self.viewer.layers.selection.active = active

    def _add_layer(self, name: str, result: Any, plane: Planes) -> Any:
        appearance = {key: getattr(result, key) for key in ("gamma", "blending", "opacity")}
        if not result.rgb:
            appearance |= {"contrast_limits": result.contrast_limits, "colormap": result.colormap}
        data = self._ordered(plane.after.astype(np.result_type(plane.before, plane.after)))
        return self.viewer.add_image(data, name=name, rgb=result.rgb, metadata=_OURS, **self._placement(), **appearance)

    def _placement(self) -> dict[str, Any]:
        """Return the keyword arguments that place a layer over the result."""
        return {key: value for key, value in self._placed.items() if key not in ("shape", "axes")}

    def _ordered(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a plane with the axes of the result."""
        y, x = (self._placed["axes"].index(letter) for letter in "YX")
        return (plane if y < x else plane.swapaxes(0, 1)).reshape(self._placed["shape"])

    def _add_line(self) -> None:
        self.line = self.viewer.add_shapes(
            ndim=len(self._placed["scale"]), name=LINE, metadata=_OURS, opacity=0.9, **self._placement()
        )
        self.viewer.mouse_drag_callbacks.append(self._drag)
        self.viewer.mouse_move_callbacks.append(self._hover)
        self.viewer.scene.camera.events.zoom.connect(self._draw_line)

    def end(self) -> None:
        """Remove the wipe from the canvas, and show the result again."""
        if self.line is not None:
            self.viewer.mouse_drag_callbacks.remove(self._drag)
            self.viewer.mouse_move_callbacks.remove(self._hover)
            self.viewer.scene.camera.events.zoom.disconnect(self._draw_line)
        ours, hidden = [*self.layers, self.line], self._hidden
        self.layers, self.line, self._planes, self._hidden = [], None, [], []
        for layer in ours:
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        for layer in hidden:
            layer.visible = True

    def is_incomplete(self) -> bool:
        """Return whether one of its layers has been removed."""
        ours = [*self.layers, *([] if self.line is None else [self.line])]
        return any(layer not in self.viewer.layers for layer in ours)

    def move(self, fraction: float) -> None:
        """Show the source in this fraction of the width."""
        self.fraction = min(max(fraction, 0.0), 1.0)
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

"""Comparing a result layer with the layer it was made from, on what is on screen."""

from __future__ import annotations

__all__ = ["Comparison"]

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.errors import RestoreError
from napari_restore.widgets.figures import plane_figures
from napari_restore.widgets.regions import current_view
from napari_restore.widgets.source import full_resolution

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_restore.engine.plan import Plan

WIPE, DIFFERENCE = "wipe · before | after", "difference · before − after"


class Comparison:
    """Before and after in a viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.source: Any = None
        self.axes = ""
        self.results: list[Any] = []
        self._wiped: tuple[Any, Any, Any] | None = None

    def between(self, source: Any, axes: str, results: list[Any]) -> None:
        """Compare these layers from now on. The source is hidden: most blending would add the result to it."""
        self.source, self.axes, self.results = source, axes, results
        source.visible = False
        self._wiped = None

    def swap(self, before: bool) -> None:
        """Show the source instead of the results, or the results again."""
        for layer in self.results:
            layer.visible = not before
        if self.source is not None:
            self.source.visible = before

    def planes(self) -> tuple[Any, Any, Any]:
        """What is on screen: the plane before, after, and the arguments that place a layer over them.

        Raises
        ------
        RestoreError
            If there is nothing to compare.
        """
        if self.source is None or not self.results or self.results[0] not in self.viewer.layers:
            raise RestoreError("there is no result to compare yet; make a preview or a run first.")
        if self.source.rgb or "C" in self.axes:
            raise RestoreError("planes of one channel can be compared; split the channels into layers first.")
        result = self.results[0]
        view = current_view(self.source, self.axes, self.viewer.dims.point)
        data, restored = full_resolution(self.source), full_resolution(result)
        factors = np.round(np.asarray(self.source.scale) / np.asarray(result.scale)).astype(int)
        first = np.asarray(result.world_to_data(self.source.data_to_world([s.start for s in view])))
        # From the centre of the first source pixel to the first result pixel.
        first = np.round(first - (factors - 1) / 2).astype(int)
        before, after = [], []
        for start, factor, length, here in zip(first, factors, restored.shape, view, strict=True):
            low = max(0, -(start // factor))
            high = min(here.stop - here.start, (length - start) // factor)
            if high <= low:
                raise RestoreError("the result is not on screen; move there, or make another preview.")
            before.append(slice(here.start + low, here.start + high))
            after.append(slice(start + low * factor, start + high * factor))
        planes = [np.asarray(array[tuple(index)]) for array, index in ((data, before), (restored, after))]
        order = [self.axes.index(letter) for letter in self.axes if letter not in "YX"]
        order += [self.axes.index("Y"), self.axes.index("X")]
        planes = [plane.transpose(order).reshape(plane.transpose(order).shape[-2:]) for plane in planes]
        return planes[0], planes[1], self._placed(result, after)

    def _placed(self, result: Any, index: list[slice]) -> dict[str, Any]:
        origin = np.asarray(result.data_to_world([s.start for s in index]))
        shape = [s.stop - s.start for s in index]
        return {
            "shape": shape,
            "scale": result.scale, "rotate": result.rotate, "translate": origin, "units": result.units,
            "axis_labels": result.axis_labels,
        }  # fmt: skip

    def add_difference(self) -> None:
        """Add a layer of before minus after, grey where nothing was changed."""
        before, after, placed = self.planes()
        factor = after.shape[0] // before.shape[0]
        difference = np.kron(before.astype(np.float32), np.ones((factor, factor), np.float32)) - after
        reach = float(np.percentile(np.abs(difference), 99.5)) or 1.0
        self._show(DIFFERENCE, difference, placed, contrast_limits=(-reach, reach), colormap="PiYG")

    def wipe(self, percent: int) -> None:
        """Show the source in the left part of what is on screen, and the result in the rest; 0 ends it."""
        if percent == 0:
            self._wiped = None
            if WIPE in self.viewer.layers:
                self.viewer.layers.remove(WIPE)
            return
        if self._wiped is None or WIPE not in self.viewer.layers:
            before, after, placed = self.planes()
            factor = after.shape[0] // before.shape[0]
            self._wiped = (before.repeat(factor, 0).repeat(factor, 1), after, placed)
        before, after, placed = self._wiped
        column = round(after.shape[1] * percent / 100)
        mixed = after.copy()
        mixed[:, :column] = before[:, :column]
        if 0 < column < after.shape[1]:
            mixed[:, column] = np.max(mixed)
        looks = {"contrast_limits": self.results[0].contrast_limits, "colormap": self.results[0].colormap}
        self._show(WIPE, mixed, placed, **looks)

    def _show(self, name: str, plane: Any, placed: dict[str, Any], **looks: Any) -> None:
        arguments = dict(placed)
        data = plane.reshape(arguments.pop("shape"))
        if name in self.viewer.layers and self.viewer.layers[name].data.shape == data.shape:
            self.viewer.layers[name].data = data
            return
        if name in self.viewer.layers:
            self.viewer.layers.remove(name)
        self.viewer.add_image(data, name=name, metadata={"napari_restore": {"comparison": True}}, **arguments, **looks)

    def figures(self, plan: Plan | None) -> list[tuple[str, str]]:
        """Measure what is on screen.

        Raises
        ------
        RestoreError
            If there is nothing to compare.
        """
        before, after, placed = self.planes()
        return plane_figures(before, after, reference=self._reference(placed, after.shape))

    def _reference(self, placed: dict[str, Any], shape: tuple[int, ...]) -> Any:
        """The same part of a layer called clean or reference, if its pixels lie where those of the result do."""
        # Of several, such as one a channel, the one whose name is most like that of the source.
        likeness = {layer: SequenceMatcher(None, layer.name, self.source.name).ratio() for layer in self.viewer.layers}
        for layer in sorted(self.viewer.layers, key=likeness.__getitem__, reverse=True):
            if not any(word in layer.name.lower() for word in ("clean", "reference", "truth")):
                continue
            if "napari_restore" in layer.metadata or layer.ndim != len(placed["shape"]):
                continue
            start = np.round(layer.world_to_data(placed["translate"])).astype(int)
            index = tuple(slice(s, s + n) for s, n in zip(start, placed["shape"], strict=True))
            data = full_resolution(layer)
            inside = all(s.start >= 0 and s.stop <= n for s, n in zip(index, data.shape, strict=True))
            if inside and np.allclose(layer.scale, placed["scale"]):
                return np.asarray(data[index]).reshape(shape)
        return None

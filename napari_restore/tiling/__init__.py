"""Tiling: the global grid of overlapping tiles over a plane, and the blending of their results.

Integers and numpy alone. Everything here is a function of the plane's size and the recipe, never of the rectangle that
happens to be asked for, so two blocks of the output that share a tile compute the same numbers.
"""

from __future__ import annotations

from napari_restore.tiling.blend import Canvas, cut_tile, source_window
from napari_restore.tiling.grid import AxisTiling, TileGrid, plane_grid

__all__ = ["AxisTiling", "Canvas", "TileGrid", "cut_tile", "plane_grid", "source_window"]

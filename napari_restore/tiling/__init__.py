"""Lay the global grid of overlapping tiles over a plane, and blend the results of the tiles.

The grid depends only on the shape of the plane and the recipe, not on the rectangle that is computed. So two blocks of
the result that share a tile compute the same numbers.
"""

from __future__ import annotations

from napari_restore.tiling.blend import Canvas, cut_tile, source_window
from napari_restore.tiling.grid import AxisTiling, TileGrid, plane_grid

__all__ = ["AxisTiling", "Canvas", "TileGrid", "cut_tile", "plane_grid", "source_window"]

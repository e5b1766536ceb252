"""Give a label image as many levels as its image has, as OME-Zarr requires it."""

from __future__ import annotations

__all__ = ["with_levels"]

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_restore.images.lazy_arrays import Region
from napari_restore.images.readers.ome_zarr.annotations import Tree

if TYPE_CHECKING:
    import zarr


def with_levels(tree: Tree, count: int) -> Tree:
    """Leave out the coarsest levels of a label image, or add coarser ones.

    An added level has every second pixel along Y and X of the level before, from the first pixel on.

    Parameters
    ----------
    tree : Tree
        A label image.
    count : int
        Number of levels.

    Returns
    -------
    Tree
        The same label image with `count` levels; an unchanged tree if it has no levels.
    """
    groups = copy.deepcopy(tree.groups)
    ome = groups[""].get("ome", groups[""])
    images = ome.get("multiscales") if isinstance(ome, Mapping) else None
    if not images or not all(str(level["path"]) in tree.arrays for level in images[0]["datasets"]):
        return tree
    levels, axes = images[0]["datasets"], [str(axis.get("name", "")).lower() for axis in images[0].get("axes", ())]
    arrays, computed = dict(tree.arrays), dict(tree.computed)
    for level in levels[count:]:
        del arrays[str(level["path"])]
    del levels[count:]
    while len(levels) < count and {"y", "x"} <= set(axes):
        last = str(levels[-1]["path"])
        path = next(str(n) for n in range(len(levels), len(levels) + len(tree.arrays) + 1) if str(n) not in arrays)
        steps = tuple(2 if axis in "yx" else 1 for axis in axes)
        computed[path] = _every_second(computed.get(last) or tree.reader(last), arrays[last].shape, steps)
        arrays[path] = _like(arrays[last], steps)
        levels.append({"path": path, "coordinateTransformations": _scaled(levels[-1], steps)})
    return replace(tree, groups=groups, arrays=arrays, computed=computed)


def _every_second(read: Callable[[Region], Any], shape: Sequence[int], steps: Sequence[int]) -> Callable[[Region], Any]:
    """Return a function that reads a region of the coarser level from the level before."""

    def coarser(region: Region) -> Any:
        finer = zip(region, shape, steps, strict=True)
        values = read(tuple(slice(s.start * step, min((s.stop - 1) * step + 1, n)) for s, n, step in finer))
        return values[tuple(slice(None, None, step) for step in steps)]

    return coarser


def _like(array: zarr.Array[Any], steps: Sequence[int]) -> zarr.Array[Any]:
    """Return an empty array in memory that describes the coarser level."""
    import zarr
    from zarr.storage import MemoryStore

    metadata: Any = array.metadata
    named = {"dimension_names": metadata.dimension_names} if metadata.zarr_format == 3 else {}
    return zarr.create_array(
        MemoryStore(),
        shape=tuple(-(-length // step) for length, step in zip(array.shape, steps, strict=True)),
        chunks=array.chunks,
        shards=array.shards,
        dtype=array.dtype,
        fill_value=array.fill_value,
        zarr_format=metadata.zarr_format,
        **named,
    )


def _scaled(level: Mapping[str, Any], steps: Sequence[int]) -> list[dict[str, Any]]:
    """Return the transformations of the coarser level: its first pixel has the same centre."""
    made = copy.deepcopy(list(level.get("coordinateTransformations", ())))
    for one in made:
        if one.get("type") == "scale" and isinstance(one.get("scale"), list):
            one["scale"] = [size * step for size, step in zip(one["scale"], steps, strict=True)]
    return made

"""Copy the labels and tables beside a source into its result, after the blocks of the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import zarr

from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.store.progress import Progress
from napari_restore.errors import ChunkError, RestoreError, SourceError, fault_of
from napari_restore.images.guards.files import allowing_outside
from napari_restore.images.image import Annotations, Image
from napari_restore.images.ome_metadata import converted
from napari_restore.images.readers.ome_zarr.annotations import Tree, read_tree
from napari_restore.images.readers.ome_zarr.label_levels import with_levels
from napari_restore.images.readers.zipped import node_at
from napari_restore.images.staging import Stage
from napari_restore.images.store import place_of
from napari_restore.images.writing.annotations import AnnotationWriter, is_copied
from napari_restore.ways_out import LEAVE_OUT

__all__ = ["annotations_are_copied", "copy_annotations", "copy_annotations_of_run", "discard_annotations"]

_log = logging.getLogger(__name__)


def annotations_are_copied(image: Image, output: Path | str) -> bool:
    """Return whether a result has the labels and tables of its source, or labels and tables of its own.

    Parameters
    ----------
    image : Image
        The source.
    output : Path or str
        The result, a path or URL.
    """
    kinds = image.annotations.names if image.annotations else ()
    return all(is_copied(place_of(output), kind) for kind in kinds)


def copy_annotations_of_run(
    plan: Plan, output: Path | str, stage: Stage | None, told: list[str]
) -> Generator[Progress, None, None]:
    """Copy the labels and tables of a run's source; see `copy_annotations`."""
    if plan.image.annotations is not None:
        yield from copy_annotations(plan.image.annotations, output, plan.recipe, stage, told, levels=plan.levels)


def discard_annotations(plan: Plan, output: Path | str, names: Sequence[str], stage: Stage | None) -> None:
    """Delete damaged objects of labels and tables, so that the next run copies them again.

    Parameters
    ----------
    plan : Plan
        The run.
    output : Path or str
        The result, a path or URL.
    names : sequence of str
        Names of the objects in the result.
    stage : Stage or None
        Stage through which a result on a disk is written.
    """
    place, kinds = place_of(output), plan.image.annotations.names if plan.image.annotations else {}
    for kind in kinds:
        bad = [name for name in names if name.partition("/")[0] == kind]
        if bad:
            AnnotationWriter(place, kind, plan.recipe.ome_version, stage).begin()
        for name in bad:
            if name != kind:
                place.remove(name, stage)


def copy_annotations(
    annotations: Annotations,
    output: Path | str,
    recipe: Recipe,
    stage: Stage | None,
    told: list[str],
    *,
    levels: int | None = None,
) -> Generator[Progress, None, None]:
    """Copy labels and tables into a result that has none.

    Parameters
    ----------
    annotations : Annotations
        Labels and tables of the source.
    output : Path or str
        The result, a path or URL.
    recipe : Recipe
        Settings of the run: version of the result, whether files outside the source's folder may be read, and whether a
        label or table that cannot be read is left out (``on_error="fill"``) instead of raising an error.
    stage : Stage or None
        Stage through which a result on a disk is written.
    told : list of str
        What is copied and what is left out, one sentence each, is appended.
    levels : int or None
        Number of levels of the image, which its labels must have too; None: labels keep their levels.

    Yields
    ------
    Progress
        After each stored object.

    Raises
    ------
    SourceError
        If a label or table cannot be read. What was copied stays.
    """
    with allowing_outside(recipe.allow_outside):
        for kind in annotations.names:
            yield from _copy_kind(annotations, kind, output, recipe, stage, told, levels)


def _copy_kind(
    annotations: Annotations,
    kind: str,
    output: Path | str,
    recipe: Recipe,
    stage: Stage | None,
    told: list[str],
    levels: int | None,
) -> Generator[Progress, None, None]:
    """Copy the labels or the tables into a result; nothing if it has them."""
    writer = AnnotationWriter(place_of(output), kind, recipe.ome_version, stage)
    if is_copied(writer.place, kind):
        return
    writer.begin()
    group, trees = _opened(annotations.location, kind, annotations.names[kind])
    if kind == "labels" and levels is not None:
        trees = {name: with_levels(tree, levels) for name, tree in trees.items()}
    total, done, began = sum(tree.objects for tree in trees.values()), 0, time.monotonic()
    left_out: dict[str, str] = {}
    for name, tree in trees.items():
        try:
            for _ in _copied(writer, name, tree, recipe.ome_version):
                done += 1
                yield Progress("copying", done, total, 0, 0, time.monotonic() - began)
        except ChunkError as error:
            if recipe.on_error != "fill":
                raise SourceError(
                    f"the pixels of {output} are complete, but {kind}/{name} of {annotations.location} cannot be "
                    f"copied: {fault_of(error).rstrip('.')}. Repair it and run the same again",
                    LEAVE_OUT,
                ) from error
            left_out[name] = fault_of(error)
        except ValueError as error:
            left_out[name] = str(error)
        if name in left_out:
            writer.remove(name)
    kept = [name for name in trees if name not in left_out]
    writer.end(converted(group.attrs.asdict(), recipe.ome_version), kept)
    for name, reason in left_out.items():
        told.append(f"{kind}/{name} is left out: {reason}")
        _log.warning("%s: %s", output, told[-1])
    if kept:
        told.append(f"{kind} {', '.join(kept)}: copied as they are")
        _log.info("%s: %s", output, told[-1])


def _opened(location: str, kind: str, names: tuple[str, ...]) -> tuple[zarr.Group, dict[str, Tree]]:
    """Open labels or tables, and list what is in each of them."""
    try:
        image: Any = node_at(location)
        return image[kind], {name: read_tree(image[kind][name]) for name in names}
    except (RestoreError, MemoryError):
        raise
    except Exception as error:  # damaged metadata, or a store that lists nothing
        raise SourceError(f"the {kind} of {location} cannot be listed: {error!r}; copy them again.") from error


def _copied(writer: AnnotationWriter, name: str, tree: Tree, version: Literal["0.4", "0.5"]) -> Iterator[int]:
    """Copy a label or table, and yield after each object.

    Raises
    ------
    ChunkError
        If an object cannot be read.
    ValueError
        If this version of OME-Zarr cannot have it; nothing is written then.
    """
    groups = {path: converted(attributes, version) for path, attributes in tree.groups.items()}
    for array in tree.arrays.values():
        writer.check(array)
    names = _names_of_dimensions(groups)
    for path, array in tree.arrays.items():
        yield from writer.array(f"{name}/{path}", array, tree.reader(path), names.get(path))
    for number, path in enumerate(tree.files):
        writer.file(f"{name}/{path}", tree.file(path))
        yield number
    for path, attributes in groups.items():
        writer.group(f"{name}/{path}" if path else name, attributes)


def _names_of_dimensions(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the names of the axes of each array of an image; OME-Zarr 0.5 requires them in the array too."""
    found = {}
    for path, attributes in groups.items():
        for image in attributes.get("ome", attributes).get("multiscales", ()):
            for level in image["datasets"]:
                inside = f"{path}/{level['path']}" if path else str(level["path"])
                found[inside] = [axis["name"] for axis in image.get("axes", ())]
    return found

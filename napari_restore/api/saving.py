"""Save any image as OME-Zarr, without restoring it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_restore.api.boundary import bounded
from napari_restore.images.image import Image
from napari_restore.images.store import as_location
from napari_restore.progress_bars import counting, following

__all__ = ["save_ome_zarr"]


@bounded("saving")
def save_ome_zarr(
    images: Any,
    output: str | Path,
    *,
    axes: str | None = None,
    labels: Mapping[str, Any] | None = None,
    progress: bool | Callable[[int, int], None] | None = True,
) -> None:
    """Save images of any size as an OME-Zarr 0.5, block by block, with pyramid, pixel size, units, origin and channels.

    Parameters
    ----------
    images : str, Path, array, Image or sequence of Image
        Any source that `denoise` takes; or images that `open_image` has returned, which become a collection in the
        layout of bioformats2raw.
    output : str or Path
        Folder of the new OME-Zarr; it must be empty or not exist.
    axes : str or None
        One letter of TCZYXS per axis of a source. If None, from its metadata.
    labels : mapping of str to (str, Path, array or Image), or None
        Labels images by name, integers with the axes of the image or its last ones. Each is stored with the first image
        of the same shape and position, or else with the first image.
    progress : bool, callable or None
        True shows a bar on standard error, if it is a terminal, or in the notebook, once the call has taken a second;
        elsewhere nothing is shown. A function is called with the number of blocks that are stored, and of all. False or
        None for neither.

    Raises
    ------
    RestoreError
        If a source cannot be opened or read, something exists at `output`, or it cannot be written. Then nothing is
        left at `output`.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> save_ome_zarr(np.zeros((5, 64, 64), np.uint16), f"{folder}/cells.zarr", axes="ZYX")
    >>> from napari_restore import api
    >>> api.open_image(f"{folder}/cells.zarr").sizes
    {'Z': 5, 'Y': 64, 'X': 64}
    """
    from napari_restore.images.opening import open_image
    from napari_restore.images.saving import save_images

    several = isinstance(images, Sequence) and bool(images) and all(isinstance(one, Image) for one in images)
    opened = list(images) if several else [open_image(images, axes=axes)]
    found = {name: _labels(one, opened[0]) for name, one in (labels or {}).items()}
    with following(progress, counting("saving")) as follow:
        save_images(as_location(output), opened, found, follow)


def _labels(source: Any, image: Image) -> Image:
    """Open labels; an array without metadata has the last axes of the image, and its pixel size and origin."""
    from dataclasses import replace

    from napari_restore.images.opening import open_image

    shape = getattr(source, "shape", None)
    if isinstance(source, str | Path | Image) or shape is None or hasattr(source, "dims"):
        return open_image(source)
    axes = image.canonical.replace("S", "")
    axes = axes if len(shape) == len(axes) else axes.replace("C", "")[-len(shape) :]
    opened = open_image(source, axes=axes)
    return replace(opened, pixel_size=image.pixel_size, origin=image.origin, units=image.units)

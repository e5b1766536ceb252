"""Open HDF5 datasets, read by region through h5py."""

from __future__ import annotations

__all__ = ["ENDINGS", "Hdf5Array", "check_survives", "h5py_module", "is_hdf5", "open", "recognises", "survey"]

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import ChunkError, RestoreError, SourceError
from napari_restore.images.axes import canonical_axes, transposition
from napari_restore.images.cf_attributes import CF_ATTRIBUTES, missing_values, notes_on_packing
from napari_restore.images.guards.files import Surroundings, surroundings_of
from napari_restore.images.guards.hdf5_files import check_chunks, check_dataset, follow_links
from napari_restore.images.guards.separate_process import check_opens
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region, chunks_in
from napari_restore.images.readers.hdf5_axes import axes_of, metadata_of
from napari_restore.images.readers.reader import check_level, series_number

ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")

_LISTED = 20
"""Number of datasets that a message lists."""
_MAGIC = b"\x89HDF\r\n\x1a\n"


def recognises(source: Any) -> bool:
    """Check whether a source is the path of an HDF5 file, or of an object in one."""
    return isinstance(source, str) and (found := _split(source)) is not None and is_hdf5(found[0])


def is_hdf5(path: str) -> bool:
    """Check whether a file is HDF5, by its signature, which may follow a user block."""
    if not os.path.isfile(path):
        return False
    size = os.path.getsize(path)
    with Path(path).open("rb") as file:
        offset = 0
        while offset < min(size, 2**16):
            file.seek(offset)
            if file.read(8) == _MAGIC:
                return True
            offset = 2 * offset or 512
    return False


def _split(path: str) -> tuple[str, str] | None:
    """Split a path into the path of a file and the path of a dataset in it.

    ``"cells.h5::/exp/data"`` and ``"cells.h5/exp/data"`` are equivalent.

    Returns
    -------
    tuple of str, or None
        File and dataset, which may be empty; None if no part of the path is a file.
    """
    if os.path.isfile(path):
        return path, ""
    file, mark, inside = path.partition("::")
    if mark:
        return file, inside.strip("/")
    parts = path.split("/")
    for count in range(len(parts) - 1, 0, -1):
        file = "/".join(parts[:count])
        if os.path.isfile(file):
            return file, "/".join(parts[count:])
    return None


def h5py_module(path: str) -> Any:
    """Import h5py, and the codecs of hdf5plugin if they are installed.

    Raises
    ------
    SourceError
        If h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise SourceError(
            f"{path} needs the package h5py; install it with: pip install 'napari-restore[hdf5]' (or pip install h5py)."
        ) from error
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401
    return h5py


def open(source: str, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a dataset of an HDF5 file without reading pixels.

    The axes are read from dimension labels, dimension scales, or the attribute ``axistags`` of vigra and ilastik, and
    the pixel size from the attribute ``element_size_um``, dimension scales, or ``axistags``.

    Parameters
    ----------
    source : str
        Absolute path of the file, followed by "::" or "/" and the path of the dataset, which is optional if there is
        only one.
    axes : str, optional
        One letter of "TCZYXS" per dimension; they override those of the file.
    level, series : int
        0, because a dataset is one image.

    Returns
    -------
    Image
        The image.

    Raises
    ------
    AxesError
        If the axes are unknown, or `axes` does not fit.
    SourceError
        If h5py is not installed, the file is damaged, or the dataset does not exist. A damaged file makes the library
        loop or crash only in a separate process, where it is opened first.
    """
    path, inside = _split(source) or (source, "")
    check_survives(source)
    check_level(level, 1, path, "give the path of a dataset behind '::'")
    series_number(series, [""], path, "give the path of a dataset behind '::'")
    h5py, surroundings = h5py_module(path), surroundings_of(path)
    try:
        named = f"/{inside}" if inside else _only_dataset(h5py, path, surroundings)
        with _opened(h5py, path, named, surroundings) as dataset:
            letters = axes_of(dataset, axes, f"{path}::{named}")
            data = Hdf5Array(path, named, tuple(dataset.shape), np.dtype(dataset.dtype), dataset.chunks)
            described = metadata_of(h5py, dataset, letters, surroundings)
            declared = {key: dataset.attrs[key] for key in CF_ATTRIBUTES if key in dataset.attrs}
    except (RestoreError, MemoryError):
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and more for damaged files
        raise SourceError(f"{path} cannot be read as HDF5: {error}. Copy the file again.") from error
    return Image(
        data=data,
        axes=letters,
        name=f"{os.path.basename(path)}{data.inside}",
        pixel_size=described.pixel_size,
        origin=described.origin,
        units=described.units,
        channels=described.channels,
        chunks=tuple((data.chunks or data.shape)[i] for i in transposition(letters, canonical_axes(letters))),
        location=f"{path}::{data.inside}",
        notes=(*described.notes, *notes_on_packing(declared)),
        missing_values=missing_values(declared, data.dtype),
    )


def check_survives(source: str) -> None:
    """Check that the HDF5 library opens a file without looping forever or crashing, in a separate process.

    Parameters
    ----------
    source : str
        As for `open`.

    Raises
    ------
    SourceError
        If it does not.
    """
    check_opens(source, (_split(source) or (source, ""))[0], __name__, "survey")


def survey(source: str) -> None:
    """Read what opening a file reads: its objects and their attributes, but no pixels.

    Parameters
    ----------
    source : str
        As for `open`.
    """
    path, inside = _split(source) or (source, "")
    h5py, surroundings = h5py_module(path), surroundings_of(path)
    with h5py.File(path, "r") as file:
        for group in ("DataSet", "DataSetInfo"):  # those of Imaris
            if isinstance(file.get(group), h5py.Group):
                file[group].visititems(lambda _, node: list(node.attrs.items()) and None)
    named = f"/{inside}" if inside else _only_dataset(h5py, path, surroundings)
    with _opened(h5py, path, named, surroundings) as dataset:
        letters = "TCZYXS"[: len(dataset.shape)]
        with contextlib.suppress(Exception):
            letters = axes_of(dataset, None, path)
        metadata_of(h5py, dataset, letters, surroundings)


@contextlib.contextmanager
def _opened(h5py: Any, path: str, inside: str, surroundings: Surroundings) -> Iterator[Any]:
    """Open a data set, wherever links lead to, if all that it is read from may be read.

    Raises
    ------
    SourceError
        If not, or if it is not there.
    """
    file_path, there = follow_links(h5py, path, inside, surroundings)
    if not os.path.isfile(file_path) and file_path != path:
        raise SourceError(f"{path}: {inside} is a link to {file_path}, which is not there; put it there.")
    with h5py.File(file_path, "r") as file:
        dataset = file.get(there)
        if isinstance(dataset, h5py.Dataset) and dataset.shape is None:
            raise SourceError(f"{path}: {inside} is an empty data set, without pixels; name another one.")
        if isinstance(dataset, h5py.Dataset):
            check_dataset(h5py, dataset, file_path, surroundings)
            yield dataset
            return
    listed = _listed(_datasets(h5py, path, surroundings)[0])
    raise SourceError(f"{path} has no dataset {inside.strip('/')!r}; it has {listed}.")


def _only_dataset(h5py: Any, path: str, surroundings: Surroundings) -> str:
    """Return the path of the only data set there is."""
    names, refused = _datasets(h5py, path, surroundings)
    if not names and refused:
        raise refused[0]
    if len(names) != 1:
        raise SourceError(
            f"{path} has {'several datasets' if names else 'no dataset that is an image'}"
            f"{f': name one as {path}::{names[0]}; it has {_listed(names)}' if names else ''}."
        )
    return names[0]


def _datasets(h5py: Any, path: str, surroundings: Surroundings) -> tuple[list[str], list[SourceError]]:
    """Return the paths of datasets that have a plane of numbers, one more than are listed at most.

    The second value is why links were not followed.
    """
    names: list[str] = []
    refused: list[SourceError] = []
    links, seen = [""], set()  # links lead on to files with links, and may lead back
    for link in links:
        if len(names) > _LISTED:
            break
        try:
            file_path, there = follow_links(h5py, path, link, surroundings)
        except SourceError as error:
            refused.append(error)
            continue

        def see(name: str, node: Any, link: str = link, file_path: str = file_path) -> bool | None:
            key = (os.path.realpath(file_path), node.name)
            if isinstance(node, h5py.Dataset) and len(node.shape or ()) >= 2 and node.dtype.kind in "uif":
                names.extend([f"{link}/{name}".rstrip("/")] if key not in seen else [])
            seen.add(key)
            return len(names) > _LISTED or None  # True ends the walk

        def note(name: str, found: Any, link: str = link) -> None:
            if isinstance(found, h5py.ExternalLink):
                links.append(f"{link}/{name}")

        try:
            file = h5py.File(file_path, "r")
        except OSError:
            if link:
                continue  # a file that is not there has no image
            raise
        with file:
            node = file.get(there or "/")
            if isinstance(node, h5py.Group) and (os.path.realpath(file_path), node.name) not in seen:
                node.visititems(see)
                node.visititems_links(note)
            if node is not None:
                see("", node)
    return names, refused


def _listed(names: Any) -> str:
    listed = list(names)
    return (", ".join(listed[:_LISTED]) or "none") + (", ..." if len(listed) > _LISTED else "")


class Hdf5Array:
    """A dataset of an HDF5 file; each read opens the file, so threads and processes share nothing.

    Parameters
    ----------
    path : str
        Absolute path of the file.
    inside : str
        Path of the dataset in it.
    shape : tuple of int
        Shape of the image; the dataset may be larger, and the rest is left out.
    dtype : numpy.dtype
        Data type of the pixels.
    chunks : tuple of int or None
        Shape of a stored chunk.
    """

    def __init__(
        self, path: str, inside: str, shape: tuple[int, ...], dtype: np.dtype[Any], chunks: tuple[int, ...] | None
    ) -> None:
        self.path, self.inside, self.shape, self.dtype, self.chunks = path, inside, shape, dtype, chunks
        self.surroundings = surroundings_of(path)

    def __getitem__(self, region: Region) -> NDArray[Any]:
        h5py = h5py_module(self.path)
        try:
            with _opened(h5py, self.path, self.inside, self.surroundings) as dataset:
                check_chunks(dataset, region)
                return self._read(dataset, region)
        except ChunkError as error:
            raise ChunkError.around(f"{self.path}::{self.inside}", error) from error
        except (RestoreError, MemoryError):
            raise
        except Exception as error:
            raise ChunkError(f"{self.path}::{self.inside} cannot be read: {error}") from error

    def _read(self, dataset: Any, region: Region) -> NDArray[Any]:
        """Read a region; name the damaged chunk in the error if that fails."""
        try:
            return np.asarray(dataset[region])
        except MemoryError:
            raise
        except Exception as error:
            for index, part in chunks_in(region, self.chunks or self.shape):
                try:
                    dataset[part]
                except Exception as cause:
                    way_out = "; pip install hdf5plugin has more codecs" if "filter" in str(cause) else ""
                    raise ChunkError(f"chunk {index} cannot be read: {cause}{way_out}") from cause
            raise ChunkError(f"cannot be read: {error}") from error

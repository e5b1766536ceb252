"""Convert a result to the kind of array that the source is: a masked array, a tensor, or neither."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_restore.images.image import Image
from napari_restore.images.readers.array_kinds.masked import is_masked
from napari_restore.images.readers.array_kinds.tensors import is_tensor

__all__ = ["in_kind_of"]


def in_kind_of(source: Any, result: Any, image: Image, scale: int, dtype: str | None) -> Any:
    """Convert a result to the kind of array that the source is.

    Parameters
    ----------
    source : array-like
        Source that the user passed.
    result : numpy.ndarray or dask.array.Array
        Result in the axes of the source; NaN where a masked source is masked.
    image : Image
        The opened source.
    scale : int
        Factor of super-resolution along Y and X; 1 for a denoiser.
    dtype : str or None
        Data type that the user chose; None or "same" for that of the source.

    Returns
    -------
    numpy.ndarray, numpy.ma.MaskedArray, torch.Tensor or dask.array.Array
        A masked array has the mask of the source, and the values of the source below the mask. A tensor is on the
        device of the source and has its data type, unless another one was chosen. Other results are not converted.
    """
    same = dtype in (None, "same")
    if is_tensor(source):
        return _as_tensor(source, result, same)
    if is_masked(source) and result.ndim == source.ndim:
        return _as_masked(source, result, image, scale, np.dtype(source.dtype if same else dtype))
    return result


def _as_tensor(source: Any, result: Any, same: bool) -> Any:
    import torch

    made = torch.from_numpy(np.ascontiguousarray(result)).to(source.device)
    return made.to(source.dtype) if same else made


def _as_masked(source: Any, result: Any, image: Image, scale: int, dtype: np.dtype[Any]) -> Any:
    """Copy mask and masked values of the source to a result. They are repeated if the result has more pixels."""
    lazy = hasattr(source, "__dask_graph__")
    if lazy:
        import dask.array as da

        mask, below = da.ma.getmaskarray(source), da.ma.getdata(source)
    else:
        mask, below = np.ma.getmaskarray(source), np.ma.getdata(source)
    if scale > 1:
        repeat = da.repeat if lazy else np.repeat
        for axis, letter in enumerate(image.axes):
            if letter in "YX":
                mask, below = repeat(mask, scale, axis=axis), repeat(below, scale, axis=axis)
    if mask.shape != result.shape:
        return result
    if lazy:
        mask, below = mask.rechunk(result.chunks), below.rechunk(result.chunks)
        meta = np.ma.empty((0,) * result.ndim, dtype)
        return da.map_blocks(_masked, result, mask, below, dtype, dtype=dtype, meta=meta)
    return _masked(result, mask, below, dtype)


def _masked(result: Any, mask: Any, below: Any, dtype: np.dtype[Any]) -> Any:
    values = np.where(mask, below, result) if dtype.kind == "f" else np.where(mask, 0, result)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.where(mask, below, np.clip(np.rint(values), limits.min, limits.max).astype(dtype))
    return np.ma.masked_array(values.astype(dtype), mask=mask)

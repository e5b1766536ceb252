"""Read tensors of torch. This module does not import torch: if an object is a tensor, torch is loaded."""

from __future__ import annotations

__all__ = ["ENDINGS", "as_numpy", "is_tensor", "open", "recognises"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import SourceError
from napari_restore.images.image import Image
from napari_restore.images.readers import arrays
from napari_restore.images.readers.reader import loaded_types

ENDINGS: tuple[str, ...] = ()


def is_tensor(source: Any) -> bool:
    """Check whether an object is a `torch.Tensor`.

    Parameters
    ----------
    source : object
        Any object.

    Returns
    -------
    bool
        Whether it is a tensor.
    """
    return isinstance(source, loaded_types("torch", "Tensor"))


recognises = is_tensor


def as_numpy(tensor: Any) -> NDArray[Any]:
    """Convert a tensor to a NumPy array; bfloat16, which NumPy lacks, becomes float32.

    Parameters
    ----------
    tensor : torch.Tensor
        Tensor on any device, with or without a gradient.

    Returns
    -------
    numpy.ndarray
        The values, without a copy if they are in memory of the CPU and not bfloat16.

    Raises
    ------
    SourceError
        If the tensor is sparse, quantised, or has no values.
    """
    try:
        values = tensor.detach().cpu()
        numbers: NDArray[Any] = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise SourceError(f"the tensor has no plain values ({error}); pass tensor.to_dense() or its values.") from error
    return np.asarray(numbers)


def open(source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a tensor as an image, see `napari_restore.images.readers.arrays.open`. A tensor on the CPU is not copied."""
    return arrays.open(as_numpy(source), axes=axes, level=level, series=series)

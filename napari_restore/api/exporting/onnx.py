"""Export models as ONNX."""

from __future__ import annotations

from pathlib import Path

from napari_restore.api.boundary import bounded
from napari_restore.errors import ModelError

__all__ = ["export_onnx"]


@bounded("exporting", ModelError)
def export_onnx(
    model: str | Path,
    output: str | Path,
    *,
    tile: int | None = None,
    img_range: float | None = None,
    mean: tuple[float, ...] | None = None,
) -> Path:
    """Export the network of a model as ONNX, for tiles of one size.

    The input ``input`` has the shape ``(1, in_channels, tile, tile)`` and values of about 0 to 1; the output ``output``
    has `scale` times as many pixels along Y and X. Restormer has attention windows as in a run.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint.
    output : str or Path
        New file, with the suffix ``.onnx``.
    tile : int or None
        Height and width of the input, in pixels; a multiple of the model's alignment. If None, that of its card.
    img_range : float or None
        Factor on the input of a SwinIR checkpoint given by path. If None, from its metadata, or as published.
    mean : tuple of float, or None
        Values that a SwinIR checkpoint given by path subtracts from its input channels, in the range 0 to 1. If None,
        from its metadata, or as published.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RecipeError
        If the tile does not fit the model.
    ModelError
        If the model cannot be read, the extra ``onnx`` is not installed, or the file exists or cannot be written.
    """
    from napari_restore.exporting import onnx
    from napari_restore.models.zoo import find_card

    onnx.export_onnx(find_card(model, img_range=img_range, mean=mean), Path(output), tile)
    return Path(output)

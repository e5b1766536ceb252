"""Export models for bioimage.io."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_restore.api.boundary import bounded
from napari_restore.errors import ModelError

__all__ = ["export_bioimageio"]


@bounded("exporting", ModelError)
def export_bioimageio(
    model: str | Path,
    output: str | Path,
    *,
    authors: Sequence[str] = (),
    img_range: float | None = None,
    mean: tuple[float, ...] | None = None,
) -> Path:
    """Export a model as a package of bioimage.io (RDF 0.5), which its programs run and test.

    The package has weights, test images, axes with the halo of a tile, licence, cover and documentation. The network is
    imported from this package, so it must be installed where the model runs. Restormer has attention windows as in a
    run. Values are scaled by percentiles only: the noise model, neighbours and metadata of a run are not exported.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint.
    output : str or Path
        New file, with the suffix ``.zip``.
    authors : sequence of str
        Authors of the weights. If empty, those of bundled weights; other packages then name none.
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
    ModelError
        If the model cannot be read, or the file exists or cannot be written.
    """
    from napari_restore.exporting import bioimageio
    from napari_restore.models.zoo import find_card

    bioimageio.export_bioimageio(find_card(model, img_range=img_range, mean=mean), Path(output), authors)
    return Path(output)

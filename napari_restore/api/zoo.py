"""List models, describe them, fetch and convert their weights, and adapt them to noisy images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_restore.api.boundary import bounded
from napari_restore.api.planning import plan as make_plan
from napari_restore.api.settings import DENOISER, UPSCALERS, Settings, describes_settings
from napari_restore.errors import ModelError, RecipeError
from napari_restore.progress_bars import adapting, downloading, following

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.adapting.outcome import Adapted, AdaptProgress
    from napari_restore.engine.compute.estimate import Report
    from napari_restore.engine.planning.choices.models import Recommendation
    from napari_restore.models.card import ModelCard

__all__ = [
    "adapt",
    "convert_model",
    "devices",
    "fetch",
    "model_card",
    "models",
    "recommend",
    "upscaler",
    "weights_size",
    "weights_state",
]


@bounded("listing models")
def models() -> tuple[ModelCard, ...]:
    """Return the cards of all models that have a name: bundled models, then those that are fetched on first use.

    Returns
    -------
    tuple of ModelCard
        One card for each model.
    """
    from napari_restore.models.zoo import all_cards

    return all_cards()


@bounded("recommending models for")
def recommend(report: Report) -> tuple[Recommendation, ...]:
    """Order the models of a task by how they suit an image: its channels and its noise.

    Parameters
    ----------
    report : Report
        What `inspect` or `report` has returned for the image and any model of the task.

    Returns
    -------
    tuple of Recommendation
        Best first, each with its `card`, the `reason` in words, and whether it `fits`.
    """
    from napari_restore.engine.planning.choices import models

    return models.recommend(report.plan, report.noise)


@bounded("fetching", ModelError)
def fetch(model: str | Path, progress: bool | Callable[[int, int | None], None] | None = True) -> ModelCard:
    """Fetch the weights of a model if they are not on this machine; a run does this by itself.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint.
    progress : bool, callable or None
        True shows a bar on standard error, if it is a terminal, or in the notebook, while a published file is
        downloaded. A function is called with the bytes that have arrived and the bytes in total (None if unknown).
        False or None for neither.

    Returns
    -------
    ModelCard
        Card of the model with the SHA-256 of its file. The licence of a published file is logged before the download.

    Raises
    ------
    ModelError
        If the file cannot be fetched or is not the right one; the message says where to put it by hand.
    """
    from napari_restore.models.zoo import find_card, local_card

    with following(progress, downloading(str(model))) as follow:
        return local_card(find_card(model), follow)


@bounded("reading model", ModelError)
def model_card(
    model: str | Path, *, img_range: float | None = None, mean: tuple[float, ...] | None = None
) -> ModelCard:
    """Return the card of a model; print its `description()`.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint, whose hyper-parameters are inferred.
    img_range : float or None
        Factor on the input of a SwinIR checkpoint given by path. If None, from its metadata, or as published.
    mean : tuple of float, or None
        Values that a SwinIR checkpoint given by path subtracts from its input channels, in the range 0 to 1. If None,
        from its metadata, or as published.

    Returns
    -------
    ModelCard
        What the model is: network, task, channels, scale, tiling, licence.

    Raises
    ------
    ModelError
        If there is no such model, or the file cannot be read.
    """
    from napari_restore.models.zoo import find_card

    return find_card(model, img_range=img_range, mean=mean)


@bounded("converting", ModelError)
def convert_model(
    model: str | Path,
    target: str | Path,
    *,
    half: bool = False,
    img_range: float | None = None,
    mean: tuple[float, ...] | None = None,
) -> ModelCard:
    """Write the weights of a model to a ``.safetensors`` file, with the hyper-parameters in its metadata.

    Parameters
    ----------
    model : str or Path
        Name of a model, or path of a checkpoint.
    target : str or Path
        File to write.
    half : bool
        Store the weights in float16.
    img_range : float or None
        Factor on the input of a SwinIR checkpoint given by path. If None, from its metadata, or as published.
    mean : tuple of float, or None
        Values that a SwinIR checkpoint given by path subtracts from its input channels, in the range 0 to 1. If None,
        from its metadata, or as published.

    Returns
    -------
    ModelCard
        Card of the new file.

    Raises
    ------
    ModelError
        If the model cannot be read, or the target cannot be written.
    """
    from napari_restore.models import zoo

    return zoo.convert(model, Path(target), half=half, img_range=img_range, mean=mean)


@bounded("adapting a model to")
@describes_settings
def adapt(
    source: Any,
    output: str | Path,
    *,
    model: str | Path = DENOISER,
    clean: Any = None,
    method: str = "auto",
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool | Callable[[AdaptProgress], bool | None] | None = True,
    view: Mapping[str, int | slice] | Callable[[], Mapping[str, int | slice] | None] | None = None,
    **settings: Unpack[Settings],
) -> Adapted:
    """Adapt a denoiser to a noisy source, and keep it only if that has helped on crops that were set aside.

    It needs no clean images, and uses them if there are any.

    Crops of the source are read, of any size of the source. A tenth of them is set aside. The self-supervision is
    chosen by the noise that is measured. If the call is interrupted, the same call resumes it. Settings are those of
    the runs that the model is for; adapting uses `axes`, `level`, `series`, `img_range`, `mean`, `intensity`,
    `value_range`, `noise`, `valid_range`, `fill_values`, `neighbours`, `device`, `on_error`, `memory_budget` and
    `allow_outside`.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    output : str or Path
        The ``.safetensors`` file to write. While the call runs, its state is in a hidden file beside it.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR: a denoiser.
        Default: `DENOISER`.
    clean : str, Path, array, sequence of arrays or None
        Clean images of the same fields, of the same shape, axes and units: long exposures, or averages of many frames.
    method : {"auto", "r2r", "noise2void", "noise2noise", "supervised"}
        Self-supervision: recorrupted pairs, for noise that is independent between pixels, or consists of offsets of
        whole lines too; a blind spot, with masks along the directions in which noise is correlated; or neighbouring
        planes as targets. Or clean images as targets. ``"auto"`` chooses the latter if they are given, and else by
        the noise.
    minutes : float or None
        Budget, from which the number of steps follows after the first ones were timed. If None, 5 on a CPU and 1 on a
        GPU.
    steps : int or None
        Number of steps, instead of a budget; together with `seed` it repeats an adaptation on a CPU.
    seed : int
        Seed of all random numbers.
    overwrite : bool
        Replace an existing file, and forget an interrupted adaptation.
    progress : bool, callable or None
        True shows a bar on standard error, if it is a terminal, or in the notebook; elsewhere nothing is shown. A
        function is called with an `AdaptProgress` after each step; if it returns False, the adaptation ends, and what
        was reached is judged and, if it has helped, stored. It may wait: that is a pause, which is no part of the
        budget. False or None for neither.
    view : mapping, callable or None
        Part of the source that is restored every 4 seconds with the weights reached so far, as
        `AdaptProgress.view`: index along T, C and Z, and slices along Y and X, such as ``{"Z": 3, "Y": slice(0, 192),
        "X": slice(0, 192)}``, of which the middle 192 x 192 pixels are used; or a function that returns one, or None.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    Adapted
        Print it. Its `outcome` is ``"adapted"``, ``"kept"`` (it did not help; no file was written) or ``"declined"``
        (the source is not suitable: constant, hardly any noise, compressed by JPEG); its `model` is the one to use.

    Raises
    ------
    RestoreError
        If source, model or output are wrong, before any work is done; or if the source cannot be read.
    """
    from napari_restore.adapting.adapt import Adaptation, Request
    from napari_restore.api.planning import plan_source

    plan = make_plan(source, model=model, **settings)
    looked_at = view if view is None or callable(view) else lambda: view
    of_clean = None if clean is None else plan_source(clean, model, None, settings, estimate=False)
    adaptation = Adaptation(plan, Request(Path(output), method, minutes, steps, seed, overwrite, looked_at, of_clean))
    with following(progress, adapting) as follow:
        for event in adaptation.run():
            if follow(event) is False:
                adaptation.stop()
    assert adaptation.outcome is not None
    return adaptation.outcome


@bounded("choosing a model for scale")
def upscaler(scale: int, model: str | Path | None = None) -> str | Path:
    """Return the bundled model of a scale, or check that a given model has this scale.

    Parameters
    ----------
    scale : int
        Factor of the number of pixels along Y and X.
    model : str, Path or None
        Name of a model, or path of a checkpoint. If None, the bundled model of the scale (`UPSCALERS`).

    Returns
    -------
    str or Path
        The model.

    Raises
    ------
    RecipeError
        If no bundled model has this scale, or `model` has another one.
    ModelError
        If there is no such model.
    """
    from napari_restore.models.zoo import find_card

    if model is None and scale not in UPSCALERS:
        published = ", ".join(card.name for card in models() if card.scale == scale)
        raise RecipeError(
            f"no bundled model upscales by {scale}; use scale {' or '.join(map(str, UPSCALERS))}, or give model= the "
            f"name of a published model of that scale ({published or 'there is none'}) or a checkpoint."
        )
    chosen = UPSCALERS[scale] if model is None else model
    if find_card(chosen).scale != scale:
        raise RecipeError(f"{model} upscales by {find_card(chosen).scale}, not by {scale}; change scale or model.")
    return chosen


def devices() -> tuple[str, ...]:
    """Return the devices of this machine that can run a network. This loads torch.

    Returns
    -------
    tuple of str
        Names of the devices, such as ``("cpu", "cuda:0")``.
    """
    from napari_restore.engine.hardware.devices import devices

    return tuple(map(str, devices()))


def weights_size(card: ModelCard) -> int:
    """Return the size of the weights of a model.

    Parameters
    ----------
    card : ModelCard
        Card of the model.

    Returns
    -------
    int
        Bytes; four for each parameter if the weights are not on this machine.
    """
    from napari_restore.models import zoo

    return zoo.weights_size(card)


def weights_state(card: ModelCard) -> str:
    """Return whether weights are bundled, downloaded, missing or not yet downloaded, and how they are checked.

    Parameters
    ----------
    card : ModelCard
        Card of the model.

    Returns
    -------
    str
        One line.
    """
    from napari_restore.models import zoo

    return zoo.weights_state(card)

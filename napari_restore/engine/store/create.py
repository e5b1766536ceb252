"""Create the OME-Zarr of a run: its levels, its channels, and the attributes by which the run is resumed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from napari_restore import __version__
from napari_restore.engine.hardware.arithmetic import arithmetic
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.images.image import Channel, sample_channels
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.unit_writer import group_in

__all__ = ["UNCERTAINTY", "create_output"]

_NAMED = {"name", "title", "paper", "licence", "sha256"}
"""Fields of a card that are stored with a result."""


UNCERTAINTY = "uncertainty"
"""Name of the OME-Zarr of the uncertainty, in that of the result."""


def create_output(plan: Plan, path: Path | str) -> None:
    """Create the OME-Zarr of a run, with its metadata and no pixels."""
    image, recipe = plan.image, plan.recipe
    assert recipe.chunks is not None
    placed = {
        axis: image.sampling(axis).upscaled(plan.card.scale if axis in "YX" else 1) for axis in plan.axes if axis != "S"
    }
    create = partial(
        ome_zarr.create,
        shape=plan.shape,
        axes=plan.axes,
        chunks=recipe.chunks,
        shards=recipe.shards,
        pixel_size={axis: one.pixel_size for axis, one in placed.items()},
        origin={axis: one.origin for axis, one in placed.items()},
        units={axis: unit for axis, unit in image.units.items() if axis in placed},
        version=recipe.ome_version,
    )
    create(
        path,
        dtype=plan.dtype,
        levels=plan.levels,
        channels=_channels(plan),
        name=f"{image.name} · {plan.card.name}",
        attributes={
            "version": __version__,
            "fingerprint": plan.fingerprint,
            "identity": plan.identity(),
            "recipe": recipe.as_json(),
            "given": plan.given,
            "arithmetic": arithmetic(recipe.device, recipe.backend),
            "digests": not isinstance(path, str),
            "model": plan.card.model_dump(mode="json", include=_NAMED),
            **({"denoiser": plan.card.first.model_dump(mode="json", include=_NAMED)} if plan.card.first else {}),
            "source": image.location or image.name,
            "source_crops": plan.source_crops,
        },
    )
    if recipe.uncertainty:  # the group of the result has to be there first; both are renamed to their place as one
        create(
            group_in(path, UNCERTAINTY),
            dtype=np.float32,
            channels=[replace(channel, window=None) for channel in _channels(plan)],
            name=f"uncertainty of {image.name} · {plan.card.name}",
            attributes={"uncertainty": "standard deviation of the error of each pixel, in data units; NaN: missing"},
        )


def _channels(plan: Plan) -> tuple[Channel, ...]:
    """Return the channels of the result: those of the image. The value range is the default display window."""
    if "S" in plan.axes:
        # For uint8 the whole range is displayed, as image viewers do.
        window = plan.recipe.value_range[0] if plan.recipe.value_range and plan.dtype != np.uint8 else None
        return sample_channels(plan.shape[plan.axes.index("S")], window)
    count = plan.image.sizes.get("C", 1)
    windows = broadcast(plan.recipe.value_range or (), count)
    channels = plan.image.channels or (Channel(),) * count
    same_units = plan.dtype == plan.image.dtype
    return tuple(
        replace(channel, window=channel.window if channel.window and same_units else window)
        for channel, window in zip(channels, windows, strict=True)
    )

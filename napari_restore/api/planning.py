"""Planning: open the source, choose what was left open, check everything, compute nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_restore.api.boundary import bounded
from napari_restore.api.settings import DENOISER, Settings
from napari_restore.errors import SourceError
from napari_restore.images.store import as_location

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.planning.recipe import Recipe
    from napari_restore.images.image import Image

__all__ = ["open_image", "plan", "plan_source", "plan_unestimated"]


@bounded("opening", SourceError)
def open_image(source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a source lazily: see `napari_restore.images.opening.open_image`."""
    from napari_restore.images import opening

    if isinstance(source, str | Path):
        source = as_location(source)
    return opening.open_image(source, axes=axes, level=level, series=series)


@bounded("planning the run of")
def plan(
    source: Any,
    *,
    model: str | Path = DENOISER,
    output: str | Path | None = None,
    overwrite: bool = False,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    download: Callable[[int, int | None], None] | None = None,
    fetch: bool = True,
    **settings: Unpack[Settings],
) -> Plan:
    """Say what a run would do, without doing it. `run` does it.

    Parameters
    ----------
    source
        See `restore`.
    model
        See `restore`.
    output, overwrite
        Where the result would be written: it is checked that this is possible. If a run was begun there, settings left
        out that the pixels depend on are taken from it, unless it is to be replaced.
    scheduler, resources
        See `restore`: with a cluster, the device is one of its workers', and tile and batch are chosen for it.
    download
        Told bytes done and in all while published weights are fetched.
    fetch
        Fetch published weights that are not on this machine. Without them a plan has no fingerprint to be trusted, and
        is for looking at.
    **settings
        See `Settings`.

    Returns
    -------
    Plan
        Print it: axes, intensity, tiles, blocks, size of the result, device, memory. A small sample of the source is
        read for its value range and noise.

    Raises
    ------
    RestoreError
        If the run is not possible.
    """
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.engine.store.resume import begun_by, check_output, continues

    path = None if output is None else as_location(output)
    how: dict[str, Any] = {"download": download, "fetch": fetch, "cluster": (scheduler, resources)}
    if path is not None and overwrite and begun_by(path, make_recipe(model=str(model), **settings)):
        # What the machine had chosen when this very call began is taken over, or a machine with less memory would make
        # other blocks, and delete what is stored.
        chosen = plan_source(source, model, path, settings, **how)
        if continues(chosen, path):
            check_output(chosen, path, overwrite=overwrite)
            return chosen
    chosen = plan_source(source, model, None if overwrite else path, settings, **how)
    if path is not None:
        check_output(chosen, path, overwrite=overwrite)
    return chosen


@bounded("planning the run of")
def plan_unestimated(
    source: Any,
    model: str | Path,
    output: Path | str | None,
    settings: dict[str, Any],
    download: Callable[[int, int | None], None] | None = None,
) -> Plan:
    """Plan as `plan` does, but read no pixels: value range and noise stay open unless given, or stored at `output`."""
    return plan_source(source, model, output, settings, estimate=False, download=download)


def plan_source(
    source: Any,
    model: str | Path,
    output: Path | str | None,
    settings: Any,
    *,
    estimate: bool = True,
    download: Callable[[int, int | None], None] | None = None,
    fetch: bool = True,
    cluster: tuple[Any, Mapping[str, float] | None] = (None, None),
) -> Plan:
    """Open the source and plan the run; open settings come from a run that was begun at `output`.

    Published weights that are not here are fetched last, when all else is known to be right: their digest is part of
    what a result is known by.
    """
    from napari_restore.engine.planning.planner import make_plan
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.engine.store.resume import stored_recipe
    from napari_restore.models.zoo import find_card, local_card

    recipe = make_recipe(model=str(model), **settings)
    card = find_card(model, img_range=recipe.img_range, mean=recipe.mean)
    given = recipe.given()
    earlier = stored_recipe(output) if output is not None else None
    if earlier is not None:
        recipe = recipe.merged(_for_device(earlier, recipe.device) if cluster[0] is None else earlier)
    image = open_image(source, axes=recipe.axes, level=recipe.level, series=recipe.series)
    if cluster[0] is not None:
        from napari_restore.engine.hardware.device import parse_devices
        from napari_restore.engine.run.cluster.workers import connected, plan_on

        with connected(cluster[0], parse_devices(recipe.device)[0], cluster[1]) as workers:
            return replace(plan_on(workers, image, local_card(card, download), recipe), given=given)
    chosen = replace(make_plan(image, card, recipe, estimate=estimate), given=given)
    return replace(chosen, card=local_card(chosen.card, download)) if fetch else chosen


def _for_device(earlier: Recipe, device: str) -> Recipe:
    """Leave what was chosen for a device open where an earlier run was on another kind of it."""
    from napari_restore.engine.hardware.device import parse_devices
    from napari_restore.engine.hardware.devices import choose_devices

    now, then = choose_devices(device)[0], parse_devices(earlier.device)[0]
    return (
        earlier if now.kind == then.kind else earlier.model_copy(update=dict.fromkeys(("backend", "batch", "threads")))
    )

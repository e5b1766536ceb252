"""Commands that restore: ``denoise``, ``upscale`` and ``batch``."""

from __future__ import annotations

__all__ = ["batch", "denoise", "upscale"]

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_restore.cli.options import Overwrite, Quiet, Recipe, Source, is_given, with_recipe
from napari_restore.cli.screen import adapting, downloads, errors, follow, follow_batch, out
from napari_restore.errors import RecipeError
from napari_restore.models.defaults import DENOISER

Output = Annotated[str, typer.Argument(help="OME-Zarr to write, a path or URL. An incomplete one is resumed.")]
Scheduler = Annotated[str | None, typer.Option(help="Run on the Dask cluster of this scheduler, tcp://host:8786.")]
Resources = Annotated[
    str | None,
    typer.Option(help="Resources that a worker must offer: GPU=1 (the default for CUDA), or none."),
]


def _amounts(text: str | None) -> dict[str, float] | None:
    """Read amounts of resources, such as "GPU=1 disk=2"."""
    if text is None or text == "none":
        return None if text is None else {}
    try:
        return {name: float(amount) for name, amount in (part.split("=") for part in text.replace(",", " ").split())}
    except ValueError:
        raise RecipeError(f"--resources {text!r} is not a list of names and amounts; write GPU=1, or none.") from None


def _run(
    source: str,
    output: str,
    model: str | Path,
    *,
    quiet: bool,
    overwrite: bool,
    scheduler: str | None,
    resources: str | None,
    settings: Any,
    adapt: bool = False,
) -> None:
    """Make a plan, print it, and run it; adapt the model first if asked for."""
    from napari_restore import api

    if output.startswith("memory://"):
        raise RecipeError(f"{output} is lost when this process ends; give a path, or the URL of an object store.")
    where: dict[str, Any] = {"scheduler": scheduler, "resources": _amounts(resources)}
    if adapt:
        with downloads(str(model), quiet) as show:
            api.fetch(model, show)
        with adapting(quiet) as show_step:
            found = api.adapt_for(source, output, model=model, overwrite=overwrite, progress=show_step, **settings)
        errors.print(str(found))
        model = found.model
    with downloads(str(model), quiet) as show:
        plan = api.plan(source, model=model, output=output, overwrite=overwrite, download=show, **where, **settings)
    if not quiet:
        errors.print(str(plan))
    follow(api.run(plan, output, overwrite=overwrite, **where), quiet)
    if not quiet:
        out.print(str(output))


def _scale(context: typer.Context, scale: int, recipe: str | None, model: str | None) -> int:
    """Return the scale that was given, or else that of the model of a recipe."""
    if recipe is None or model is None or is_given(context, "scale"):
        return scale
    from napari_restore import api

    return api.model_card(model).scale


def denoise(
    context: typer.Context,
    source: Source,
    output: Output,
    model: Annotated[str, typer.Option(help="Name of a model, or path of a checkpoint.")] = DENOISER,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Adapt the model to SOURCE first; its weights are kept beside OUTPUT.")
    ] = False,
    recipe: Recipe = None,
    overwrite: Overwrite = False,
    scheduler: Scheduler = None,
    resources: Resources = None,
    quiet: Quiet = False,
) -> None:
    """Denoise SOURCE into the OME-Zarr OUTPUT. The same command resumes an interrupted run."""
    chosen, settings = with_recipe(context, recipe, model)
    _run(
        source, output, chosen or model, quiet=quiet, overwrite=overwrite, scheduler=scheduler,
        resources=resources, settings=settings, adapt=adapt,
    )  # fmt: skip


def upscale(
    context: typer.Context,
    source: Source,
    output: Output,
    scale: Annotated[int, typer.Option(help="Factor by which Y and X get longer.")] = 2,
    model: Annotated[str | None, typer.Option(help="Name of a model, or path of a checkpoint.")] = None,
    recipe: Recipe = None,
    overwrite: Overwrite = False,
    scheduler: Scheduler = None,
    resources: Resources = None,
    quiet: Quiet = False,
) -> None:
    """Super-resolve SOURCE into the OME-Zarr OUTPUT. The same command resumes an interrupted run."""
    from napari_restore import api

    chosen, settings = with_recipe(context, recipe, model)
    _run(
        source, output, api.upscaler(_scale(context, scale, recipe, chosen), chosen), quiet=quiet, overwrite=overwrite,
        scheduler=scheduler, resources=resources, settings=settings,
    )  # fmt: skip


def batch(
    context: typer.Context,
    sources: Annotated[
        list[str], typer.Argument(help="Folders, patterns in quotes, files, OME-Zarr images, plates and collections.")
    ],
    folder: Annotated[str, typer.Argument(help="Folder for the results: an OME-Zarr for each image.")],
    model: Annotated[str, typer.Option(help="Name of a model, or path of a checkpoint.")] = DENOISER,
    recipe: Recipe = None,
    shared_range: Annotated[
        bool, typer.Option("--shared-range", help="One value range for all images, estimated from all of them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Print what would be done with each image.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Restore many images by one recipe. The same command resumes a batch; exit code 1 if an image failed."""
    from napari_restore import api

    chosen, settings = with_recipe(context, recipe, model)
    with downloads(chosen or model, quiet) as show:
        plan = api.plan_batch(
            sources, folder, model=chosen or model, overwrite=overwrite, shared_range=shared_range, download=show,
            **settings,
        )  # fmt: skip
    if dry_run:
        out.print(plan.told("command"))
        return
    if not quiet:
        errors.print(plan.summary())
    ended = follow_batch(api.run_batch(plan), quiet)
    failed = [item for item in ended if item.state == "failed"]
    for item in failed:
        errors.print(f"napari-restore: {item.source}: {item.told('command')}")
    if not quiet:
        out.print(f"{len(ended) - len(failed)} images done, {len(failed)} failed: {plan.folder / 'batch.report.md'}")
    raise typer.Exit(1 if failed else 0)

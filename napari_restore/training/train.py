"""Train one of the bundled networks: ``napari-restore-train NAME --out FOLDER``.

A run is determined by the recipe, its seed and the images: every random number comes from one generator and torch's
seed. It can be interrupted and resumed (``--state``). It writes a ``.safetensors`` file of the averaged weights with
the hyper-parameters in its metadata.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Generator, Tensor, nn

from napari_restore.errors import RecipeError, RestoreError
from napari_restore.files import fresh_file
from napari_restore.models.checkpoint import write_checkpoint
from napari_restore.networks.denormals import denormals_are_zero
from napari_restore.training.bundle import write_card
from napari_restore.training.clean import SYNTHETIC, clean_pool
from napari_restore.training.recipes import HELD_OUT, NOISY, RECIPES, TrainingRecipe
from napari_restore.training.start import begin_with

__all__ = ["TrainingRun", "main", "restoration_loss", "train"]


def restoration_loss(kind: str, output: Tensor, target: Tensor) -> Tensor:
    """Return the loss of a batch; the kinds of loss are described in `TrainingRecipe`.

    Parameters
    ----------
    kind : {"log-mse", "log-l1", "l1"}
        Kind of loss.
    output, target : torch.Tensor
        Result of the network and what it should be, ``(b, c, h, w)``.

    Returns
    -------
    torch.Tensor
        Scalar.
    """
    error = output.float() - target
    if kind == "l1":
        return error.abs().mean()
    if kind == "log-l1":
        return torch.log(error.abs().mean((1, 2, 3)) + 3e-4).mean()
    return torch.log(error.square().mean((1, 2, 3)) + 1e-7).mean()


def learning_rate_factor(recipe: TrainingRecipe, step: int) -> float:
    """Return the share of the peak learning rate at `step`: warm-up, plateau, linear cool-down."""
    warmup = min(1.0, (step + 1) / recipe.warmup)
    return min(warmup, (recipe.steps - step) / (recipe.cooldown * recipe.steps), 1.0)


def draw_batch(images: list[Tensor], probability: Tensor, count: int, patch: int, generator: Generator) -> Tensor:
    """Cut random crops ``(count, c, patch, patch)`` from images ``(c, h, w)``, flipped and rotated by 90 degrees.

    `probability` ``(len(images),)`` is on the device of the generator, and so should the images be.
    """
    chosen = torch.multinomial(probability, count, replacement=True, generator=generator).tolist()
    draws = torch.rand(count, 5, generator=generator, device=generator.device).tolist()
    crops = []
    for index, (vertical, horizontal, turns, inverted, flipped) in zip(chosen, draws, strict=True):
        image = images[index]
        y, x = (int(at * (n - patch + 1)) for at, n in zip((vertical, horizontal), image.shape[-2:], strict=True))
        crop = torch.rot90(image[:, y : y + patch, x : x + patch], int(turns * 4), (-2, -1))
        # Some are inverted: dark on bright is as common in brightfield and EM as bright on dark in fluorescence.
        crop = 1 - crop if inverted < 0.15 else crop
        crops.append(crop.flip(-1) if flipped < 0.5 else crop)
    return torch.stack(crops)


@dataclass
class TrainingRun:
    """A run in progress: everything that `save` writes and `restore` reads.

    Attributes
    ----------
    recipe : TrainingRecipe
        Recipe of the run.
    network : torch.nn.Module
        Network in training.
    average : dict of str to torch.Tensor
        Exponential moving average of its weights.
    optimizer : torch.optim.Optimizer
        Optimiser.
    generator : torch.Generator
        Source of all random numbers.
    step : int
        Number of steps that are done.
    seconds : float
        Duration so far.
    losses : list of float
        Losses of the last steps.
    """

    recipe: TrainingRecipe
    network: nn.Module
    average: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    generator: Generator
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, recipe: TrainingRecipe, device: str = "cpu") -> TrainingRun:
        """Start a new run on a device: weights and all later draws follow from ``recipe.seed``."""
        torch.manual_seed(recipe.seed)
        network = recipe.network(**recipe.hyperparameters)
        if recipe.starts_from is not None:
            begin_with(network, recipe.starts_from)
        network.to(device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=1e-4)
        average = {key: value.detach().clone() for key, value in network.state_dict().items()}
        return cls(recipe, network, average, optimizer, Generator(device).manual_seed(recipe.seed))

    def advance(self, clean: Tensor, *, bf16: bool = False) -> float:
        """Take one optimiser step on a clean batch, and return the loss before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * learning_rate_factor(self.recipe, self.step)
        source, target = self.recipe.degrade(clean, self.generator)
        with torch.autocast(self.generator.device.type, torch.bfloat16, enabled=bf16):
            output = self.network(source)
        loss = restoration_loss(self.recipe.loss, output, target)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):  # a batch without a finite gradient is skipped: about one in some thousand
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        # A short average at first, so that the random initial weights soon have no part in it.
        decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write the state of the run, whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses[-_RECENT:],
            "recipe": _identity(self.recipe),
        }
        with fresh_file(path) as fresh:
            torch.save(state, fresh)

    def restore(self, path: Path) -> None:
        """Resume the run that `save` has written.

        Raises
        ------
        RecipeError
            If that run has another recipe; only the number of steps may differ.
        """
        state: dict[str, Any] = torch.load(path, map_location=self.generator.device, weights_only=True)
        own, other = _identity(self.recipe), state.get("recipe", {})
        differing = [name for name in own if other.get(name) != own[name]]
        if differing:
            name = differing[0]
            raise RecipeError(
                f"{path} holds a run with {name} {other.get(name)!r}, and this one has {own[name]!r}; give another "
                "file to start a new run, or resume with the version that started it."
            )
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]

    def export(self, path: Path, *, half: bool = True) -> None:
        """Write the averaged weights, in half precision by default, with the hyper-parameters."""
        tensors = {key: value.cpu() for key, value in self.average.items()}
        write_checkpoint(path, tensors, self.recipe.architecture, self.recipe.hyperparameters, half=half)


_RECENT = 200
"""Number of losses that are kept; the card has their mean."""


def _identity(recipe: TrainingRecipe) -> dict[str, str]:
    """Return what a run must have in common with the run that it resumes."""
    schedule = {name: value for name, value in recipe.schedule().items() if name != "steps"}
    parts = {"network": recipe.architecture, **recipe.hyperparameters, **schedule}
    return {name: str(value) for name, value in parts.items()}


@denormals_are_zero()
def train(
    name: str,
    out: Path,
    *,
    images: Path | None = None,
    sources: str = "",
    licence: str = "",
    state: Path | None = None,
    bf16: bool = False,
    compiled: bool = False,
    device: str = "cpu",
    minutes: float = math.inf,
    log_every: int = 50,
    synthetic: int = SYNTHETIC,
) -> Path | None:
    """Train the named recipe and write ``out/NAME.safetensors`` and its card ``out/NAME.json``.

    Parameters
    ----------
    name : str
        Key of `RECIPES`.
    out : Path
        Folder of the result.
    images : Path or None
        Folder of further clean images (TIFF, PNG, JPEG). Synthetic images and those of scikit-image are always used.
    sources, licence : str
        For the card: contents and licences of that folder; licence of the weights.
    state : Path or None
        File in which the run is saved every `log_every` steps, and from which it is resumed if the file exists.
    bf16 : bool
        Run the network in bfloat16 (faster if the processor supports it); norms, attention and loss stay float32.
    compiled : bool
        Compile the network with ``torch.compile`` first, which takes minutes and then saves about a third of each step.
    device : str
        Device of the run, its clean images and its pairs: ``"cpu"``, ``"cuda"``. The random numbers depend on it.
    minutes : float
        Time limit of this call. The run then stops, and the next call resumes it from `state`, which is needed for
        that.
    log_every : int
        Number of steps between two lines of progress.
    synthetic : int
        Number of synthetic images. The course of a run depends on it.

    Returns
    -------
    Path or None
        The weights; None if the time limit was reached before the end of the run.

    Raises
    ------
    KeyError
        If `name` is not a recipe.
    RecipeError
        If `minutes` is given without `state`, or `state` has another recipe.
    SourceError
        If the folder of images does not exist or contains no usable image.
    """
    recipe = RECIPES[name]
    if state is None and minutes != math.inf:
        raise RecipeError(f"a run of {minutes:g} minutes would be lost at its end; give a file to save it in as state.")
    pool_rng, channels = np.random.default_rng(recipe.pool_seed), recipe.hyperparameters["in_channels"]
    pictures, chances = clean_pool(
        pool_rng, channels=channels, synthetic=synthetic, folder=images, held_out=HELD_OUT + NOISY,
        smallest=recipe.largest_patch,
    )  # fmt: skip
    pool = [torch.from_numpy(picture).to(device) for picture in pictures]
    probability = torch.from_numpy(chances).to(device, torch.float32)
    run = TrainingRun.start(recipe, device)
    if state is not None and state.exists():
        run.restore(state)
    if compiled:
        run.network.compile(dynamic=False)  # one graph for each size of crops
    print(f"{name}: {len(pool)} clean images, step {run.step} of {recipe.steps}", flush=True)
    began, first, earlier = time.perf_counter(), run.step, run.seconds
    while run.step < recipe.steps:
        clean = draw_batch(pool, probability, *recipe.crops(run.step), run.generator)
        run.losses.append(run.advance(clean, bf16=bf16))
        if run.step % log_every == 0 or run.step == recipe.steps:
            passed = time.perf_counter() - began
            run.seconds = earlier + passed
            pace = f"{passed / (run.step - first):.2f} s a step"
            print(f"step {run.step}  loss {np.nanmean(run.losses[-log_every:]):.4f}  {pace}", flush=True)
            if state is not None:
                run.save(state)
            if passed > 60 * minutes and run.step < recipe.steps:
                return None
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.safetensors"
    run.export(path)
    told = {"--images FOLDER": images is not None, "--bf16": bf16, "--compiled": compiled}
    command = " ".join(["napari-restore-train", name, f"--device {device}", *(flag for flag in told if told[flag])])
    recent = float(np.nanmean(run.losses[-_RECENT:]))
    write_card(
        name,
        path,
        command=command,
        images=len(pool),
        sources=sources,
        licence=licence,
        final_loss=recent,
        minutes=run.seconds / 60,
    )
    return path


app = typer.Typer(add_completion=False)


@app.command()
def train_command(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(RECIPES)}.")],
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path(),
    images: Annotated[Path | None, typer.Option(help="Folder of further clean images.")] = None,
    sources: Annotated[str, typer.Option(help="Contents and licences of that folder, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the card.")] = "",
    state: Annotated[Path | None, typer.Option(help="File to save the run in, and to resume it from.")] = None,
    bf16: Annotated[bool, typer.Option(help="Run the network in bfloat16.")] = False,
    compiled: Annotated[bool, typer.Option(help="Compile the network with torch.compile first.")] = False,
    device: Annotated[str, typer.Option(help="Device: cpu, cuda.")] = "cpu",
    minutes: Annotated[float, typer.Option(help="Time limit; a run with --state can be resumed.")] = math.inf,
    threads: Annotated[int, typer.Option(help="Number of torch threads; 0 for torch's default.")] = 0,
) -> None:
    """Train one of the bundled networks from its recipe."""
    if name not in RECIPES:
        raise typer.BadParameter(f"{name!r} is not a recipe; use one of {', '.join(RECIPES)}")
    if threads:
        torch.set_num_threads(threads)
    try:
        path = train(
            name,
            out,
            images=images,
            sources=sources,
            licence=licence,
            state=state,
            bf16=bf16,
            compiled=compiled,
            device=device,
            minutes=minutes,
        )
    except RestoreError as error:
        raise typer.BadParameter(str(error)) from error
    print(path or f"interrupted; the same command resumes it from {state}")


def main() -> None:
    """Run the command ``napari-restore-train``."""
    app()

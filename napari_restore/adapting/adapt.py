"""Adapt a denoiser to a noisy source: measure, choose, train few parameters, judge on crops set aside, and store."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_restore import __version__
from napari_restore.adapting.choosing import Choice, check_method, choose_method, correlation_reach, doubt_skewed
from napari_restore.adapting.crops import Pool, SourceCrop, averages, read_pool
from napari_restore.adapting.free_parameters import FreeParameters, choose_kind
from napari_restore.adapting.judging import Judge
from napari_restore.adapting.memory import check_memory
from napari_restore.adapting.outcome import Adapted, AdaptProgress, View, state_path
from napari_restore.adapting.self_supervision import Batch, make_pairs
from napari_restore.adapting.state import State
from napari_restore.adapting.suitability import blocks_of_jpeg, share_noise, too_clean, unlike_clean
from napari_restore.adapting.view import SECONDS, Region, restored_view, slices_of
from napari_restore.adapting.weights import write_adapted
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.reading import with_retries
from napari_restore.engine.planning.sampling import estimate_image_noise
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.engine.store.lock import OutputLock
from napari_restore.errors import ChunkError, ModelError, OutputError, RecipeError
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.models.zoo import load_weights
from napari_restore.networks.denormals import denormals_are_zero
from napari_restore.ways_out import REPLACE

__all__ = ["Adaptation", "Request"]

CROP = 64
"""Side of the crops of a training step in pixels, about; a multiple of the network's alignment."""
BATCH = 4
"""Crops of a step; for R2R half as many, each with two draws of noise."""
LEARNING_RATE = {"scales": 1e-3, "norms": 2e-3}
"""Change of a free parameter in one step, about, as a share of the weights."""
JUDGEMENTS = 8
"""Times that the weights are judged on the crops set aside."""
PATIENCE = 3
"""Judgements without a better one after which the adaptation ends."""
_TIMED = 3
"""Steps after which the number of steps is set by the budget, at least; the first of them is not counted."""
_TIMED_SECONDS, _TIMED_SHARE = 3.0, 0.05
"""Seconds that they take at least, or this share of a short budget: on a GPU, the first ones take several times as long
as the others."""
_SAVED = 10.0
"""Seconds after which the state is saved again, at most."""
_TOO_FEW = "fewer than four crops without missing pixels can be cut, too few to set one aside"


@dataclass(frozen=True)
class Request:
    """How to adapt.

    Attributes
    ----------
    output : Path
        The ``.safetensors`` file to write.
    method : {"auto", "r2r", "noise2void", "noise2noise", "supervised"}
        The self-supervision, or supervision by clean images.
    minutes : float or None
        Budget; None for 5 minutes of CPU or 1 of GPU.
    steps : int or None
        Number of steps; None for as many as the budget allows.
    seed : int
        Seed of all random numbers.
    overwrite : bool
        Replace an existing file, and forget an adaptation that was interrupted.
    view : callable or None
        Returns the region to restore every few seconds with the weights reached so far, or None for none.
    clean : Plan or None
        Plan of a run of the parent on clean images of the same fields.
    """

    output: Path
    method: str = "auto"
    minutes: float | None = None
    steps: int | None = None
    seed: int = 0
    overwrite: bool = False
    view: Callable[[], Region | None] | None = None
    clean: Plan | None = None


class Adaptation:
    """One adaptation: `run` yields its progress, and then `outcome` says what became of it.

    Parameters
    ----------
    plan : Plan
        Plan of a run of the parent on the source.
    request : Request
        How to adapt.

    Attributes
    ----------
    memory_bytes : int
        The maximum host memory, see `napari_restore.adapting.memory`.
    outcome : Adapted or None
        What became of it; None until `run` has ended.

    Raises
    ------
    RestoreError
        If the request cannot be carried out, or takes more memory than there is: before any work is done.
    """

    def __init__(self, plan: Plan, request: Request) -> None:
        _check(plan, request)
        self._plan, self._request = plan, request
        self.memory_bytes = check_memory(plan, BATCH, self._crop)
        self._state_path = state_path(request.output)
        self._stopped = False
        self._view: View | None = None
        self._viewed = -math.inf
        self.outcome: Adapted | None = None

    def stop(self) -> None:
        """End after the step in progress; what was reached is judged."""
        self._stopped = True

    def run(self) -> Generator[AdaptProgress, None, None]:
        """Adapt. Closing the generator, or an exception, keeps the state, from which the same call resumes.

        Time between two events is not counted: whoever takes the events may pause.

        Yields
        ------
        AdaptProgress
            After each step.

        Raises
        ------
        OutputInUse
            If another adaptation writes to the output.
        """
        lock = OutputLock(self._request.output)
        try:
            if self._request.overwrite:
                self._state_path.unlink(missing_ok=True)
            yield from self._adapted()
        finally:
            lock.release()

    def _adapted(self) -> Generator[AdaptProgress, None, None]:
        plan, request = self._plan, self._request
        noise = estimate_image_noise(with_retries(plan.image, "raise", ()), skip_damaged=plan.recipe.on_error == "fill")
        prepared = self._prepared(noise)
        if isinstance(prepared, str):
            self._state_path.unlink(missing_ok=True)
            told = f"Adapting was declined: {prepared}. {plan.card.name} is kept."
            self.outcome = Adapted("declined", str(plan.recipe.model), told)
            return
        choice, pool = prepared
        began, device = time.monotonic(), str(plan.device)
        network = load_weights(plan.card).to(device)
        pixels = sum(crop.pixels.size for crop in pool.training)
        known = choice.method == "supervised"
        kind = choose_kind(pixels, structured=known or max(choice.reach) > 0 or bool(choice.lines))
        free = FreeParameters(network, kind)

        def average(pixels: Tensor) -> Tensor:
            return free.restored(pixels, state.average)

        with denormals_are_zero():
            judge = Judge(pool.held_out, choice, lambda pixels: free.restored(pixels, {}), device, request.seed)
        judging = time.monotonic() - began
        state = State.start(free, LEARNING_RATE[kind], judge.of_parent)
        identity = self._identity(choice)
        if self._state_path.exists():
            state.restore(self._state_path, identity)
        state.total = state.total or request.steps or 0
        earlier, saved, durations = state.seconds, time.monotonic(), []
        try:
            while not self._stopped and state.worse < PATIENCE and (not state.total or state.step < state.total):
                step_began = time.monotonic()
                with denormals_are_zero():
                    state.advance(self._loss(free, pool, choice, state.step, device))
                durations.append(time.monotonic() - step_began)
                timed = min(_TIMED_SECONDS, _TIMED_SHARE * self._budget)
                if not state.total and len(durations) >= _TIMED and sum(durations) > timed:
                    affordable = self._affordable(min(durations[1:]), judging, time.monotonic() - began)
                    state.total = max(2 * _TIMED, state.step + affordable)
                if state.total and state.step % max(1, state.total // JUDGEMENTS) == 0:
                    with denormals_are_zero():
                        state.judged(judge.judge(average))
                state.seconds = earlier + time.monotonic() - began
                if time.monotonic() - saved > _SAVED:
                    state.save(self._state_path, identity)
                    saved = time.monotonic()
                self._look(average, state.step)
                event = AdaptProgress(
                    state.step, state.total, state.seconds, state.latest, state.judgement, state.best_step,
                    choice.method, choice.why, self.memory_bytes, self._view,
                )  # fmt: skip
                given = time.monotonic()
                yield event
                began += time.monotonic() - given
            if self._stopped and state.step:
                with denormals_are_zero():
                    state.judged(judge.judge(average))
        except BaseException:
            with contextlib.suppress(OSError):
                state.save(self._state_path, identity)
            raise
        self.outcome = self._decided(state, choice, kind, noise)
        self._state_path.unlink(missing_ok=True)

    def _prepared(self, noise: tuple[NoiseEstimate | None, ...]) -> tuple[Choice, Pool] | str:
        """Choose the self-supervision and read the crops; return the reason if the source is not suitable."""
        plan, request = self._plan, self._request
        measured = [estimate for estimate in noise if estimate is not None]
        if not measured:
            return "its noise cannot be estimated (constant, too small, or without finite values)"
        correlation = (max(one.correlation[0] for one in measured), max(one.correlation[1] for one in measured))
        if request.clean is not None:
            return self._supervised(noise, request.clean, correlation)
        ranges = broadcast(plan.recipe.value_range or ((0.0, 1.0),), len(noise))
        each = zip(noise, ranges, strict=True)
        share = max(estimate.sigma_median / (high - low) for estimate, (low, high) in each if estimate is not None)
        if told := too_clean(share):
            return told
        planes = "".join(axis for axis in "TZ" if plan.image.sizes.get(axis, 1) > 1)
        near = plan.recipe.neighbours.axis if plan.recipe.neighbours is not None else ""
        agreeing = next((axis for axis in planes if axis in near), "")
        choice = choose_method(request.method, correlation, (8, 8), agreeing, planes)
        pool = read_pool(plan, noise, self._crop, choice.partners)
        if choice.partners and share_noise((*pool.training, *pool.held_out)):
            if request.method != "auto":
                return f"its planes along {choice.partners} share their noise, so none can be the target of another one"
            agreeing = planes = ""
            choice = choose_method("auto", correlation, (8, 8), "", "")
            pool = read_pool(plan, noise, self._crop)
        if not pool.held_out:
            return _TOO_FEW
        crops = (*pool.training, *pool.held_out)
        if blocks_of_jpeg(crops):
            return "it has the blocks of JPEG compression, which has changed its noise"
        choice = choose_method(request.method, correlation, correlation_reach(crops), agreeing, planes)
        choice = doubt_skewed(choice, crops)
        if request.method == "auto" and choice.doubt:
            return choice.doubt
        return replace(choice, averaged=averages(plan, choice.partners)), pool

    def _supervised(
        self, noise: tuple[NoiseEstimate | None, ...], clean: Plan, correlation: tuple[float, float]
    ) -> tuple[Choice, Pool] | str:
        """Read crops of noisy and of clean images; return the reason if they do not fit together."""
        pool = read_pool(self._plan, noise, self._crop, clean=clean)
        if not pool.held_out:
            return _TOO_FEW
        if told := unlike_clean((*pool.training, *pool.held_out)):
            return told
        return Choice("supervised", why="clean images are given", correlation=correlation), pool

    @property
    def _crop(self) -> int:
        """Side of the crops: a multiple of the alignment of the network without attention windows."""
        alignment = self._plan.card.alignment if self._plan.card.architecture == "swinir" else 8
        side = min(CROP, *(self._plan.image.sizes[axis] for axis in "YX"))
        return max(side // alignment, 1) * alignment

    def _loss(self, free: FreeParameters, pool: Pool, choice: Choice, step: int, device: str) -> Tensor:
        """Draw a batch, which depends on seed and step alone, and return its loss."""
        rng = np.random.default_rng([self._request.seed, step])
        count = BATCH // 2 if choice.method == "r2r" else BATCH
        drawn = [pool.training[k] for k in rng.choice(len(pool.training), count, p=pool.chances)]
        size = self._crop
        cut = [_cut(crop, size, rng) for crop in drawn]
        flips = [axis for axis in (-2, -1) if rng.random() < 0.5]
        batch = Batch.joined(cut).each(lambda values: values.flip(flips).to(device))
        random = torch.Generator().manual_seed(int(rng.integers(2**62)))
        pairs = make_pairs(batch, choice, random)
        return pairs.loss(free.restored(pairs.source, free.values))

    def _look(self, network: Callable[[Tensor], Tensor], step: int) -> None:
        """Restore the part of a plane that is looked at, if it is time for it. One that cannot be read is left out."""
        region = self._request.view() if self._request.view is not None else None
        if region is None or time.monotonic() - self._viewed < SECONDS:
            return
        with contextlib.suppress(ChunkError):
            self._view = restored_view(self._plan, region, network, step)
        self._viewed = time.monotonic()

    @property
    def _budget(self) -> float:
        """Seconds that are allowed."""
        minutes = self._request.minutes
        if minutes is None:
            minutes = 5.0 if self._plan.device.is_cpu else 1.0
        return 60 * minutes

    def _affordable(self, step: float, judging: float, spent: float) -> int:
        """Return the number of further steps that fit the budget, given the seconds of a step and of a judgement."""
        left = self._budget - spent - JUDGEMENTS * judging
        return max(0, int(left / max(step, 1e-4)))

    def _identity(self, choice: Choice) -> dict[str, Any]:
        """Return what an adaptation has in common with the one that it resumes."""
        plan, request = self._plan, self._request
        return {
            "model": plan.card.sha256, "source": plan.source_crops, "seed": request.seed,
            "method": str(asdict(choice)), "settings": str(plan.recipe.pixel_settings()),
            "steps": request.steps or 0, "device": plan.device.kind,
            "clean": request.clean.source_crops if request.clean is not None else {},
        }  # fmt: skip

    def _decided(self, state: State, choice: Choice, kind: str, noise: tuple[NoiseEstimate | None, ...]) -> Adapted:
        """Store the best weights if they are better than the parent's by more than chance; say what was decided."""
        plan, request, judged = self._plan, self._request, state.judgement
        if state.best_step == 0 or not judged.is_significant:
            shown = judged if state.best_step else state.latest
            change = _percent(shown.gain)
            if shown.gain > 0:
                change += f", which may be chance: {shown.significance:.1f} standard errors,"
            told = f"Adapting did not help here ({change} by {choice.method}): {plan.card.name} is kept."
            model = str(plan.recipe.model)
            return Adapted("kept", model, told, None, choice.method, state.step, state.seconds, shown)
        training = {
            "steps": state.best_step, "batch": BATCH, "patch": self._crop, "seed": request.seed,
            "parent": plan.card.name, "parent_sha256": plan.card.sha256,
            "source_name": plan.image.name, "source_crops": dict(plan.source_crops),
            "method": choice.method, "why": choice.why, "doubt": choice.doubt,
            "free": f"{kind}, {state.free.count} numbers",
            "noise": [None if one is None else asdict(one) for one in noise],
            "parent_loss": judged.parent_loss, "loss": judged.loss, "standard_error": judged.error,
            "steps_tried": state.step, "seconds": round(state.seconds, 1), "device": plan.device.kind,
            "settings": {name: str(value) for name, value in plan.given.items()}, "version": __version__,
        }  # fmt: skip
        if (clean := request.clean) is not None:
            training |= {"clean_name": clean.image.name, "clean_crops": dict(clean.source_crops)}
        write_adapted(request.output, state.free.weights(state.best), plan.card, training)
        told = (
            f"Adapting has helped ({_percent(judged.gain)} loss on crops set aside, {judged.significance:.1f} standard "
            f"errors; {choice.method}, {state.best_step} steps): {request.output}."
        )
        if choice.doubt:
            told += f" That may be wrong: {choice.doubt}. Compare both results before you use it."
        return Adapted(
            "adapted", str(request.output), told, request.output, choice.method, state.best_step, state.seconds, judged
        )


def _cut(crop: SourceCrop, size: int, rng: np.random.Generator) -> Batch:
    """Cut a square of a training step from a crop."""
    y, x = (int(k) for k in rng.integers(0, crop.there.shape[-1] - size + 1, 2))
    return Batch.of([crop]).each(lambda values: values[..., y : y + size, x : x + size])


def _sizes(plan: Plan) -> str:
    return " x ".join(f"{axis} {size}" for axis, size in plan.image.sizes.items())


def _percent(gain: float) -> str:
    return f"{-100 * gain:+.2f} %"


def _check(plan: Plan, request: Request) -> None:
    """Refuse what cannot be carried out."""
    check_method(request.method, clean=request.clean is not None)
    if (clean := request.clean) is not None and clean.image.sizes != plan.image.sizes:
        raise RecipeError(
            f"the clean images are {_sizes(clean)}, and the noisy ones {_sizes(plan)}; give images of the same fields."
        )
    if plan.card.scale > 1 or plan.card.chain:
        raise ModelError(f"{plan.card.name} super-resolves, and only denoisers can be adapted; use another model.")
    if plan.card.in_channels != plan.card.out_channels or plan.repeats > 1:
        raise ModelError(
            f"{plan.card.name} takes {plan.card.in_channels} colour samples and the source has not as many; use a "
            "one-channel model."
        )
    if request.output.suffix != ".safetensors":
        raise OutputError(f"{request.output} does not end in .safetensors, the format of adapted weights; rename it.")
    if not request.output.parent.is_dir():
        raise OutputError(f"{request.output.parent} is no folder; make it, or name a file in another one.")
    if request.output.exists() and not request.overwrite:
        raise OutputError(f"{request.output} exists already", REPLACE)
    if request.minutes is not None and not 0 < request.minutes < float("inf"):
        raise RecipeError(f"a budget of {request.minutes:g} minutes is not possible; give a number above 0.")
    if request.steps is not None and request.steps < 1:
        raise RecipeError(f"{request.steps} steps are not possible; give 1 or more.")
    if request.view is not None:
        slices_of(plan, request.view() or {})
